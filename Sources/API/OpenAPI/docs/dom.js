// Elements are made from text only: nothing of the description or of an answer is ever read as HTML.

/// An element; `attributes` may hold listeners as onclick, and children may be text, elements, arrays or nothing.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/// The paragraphs of a description, with `code` and **strong** as the only markup.
export function prose(text) {
  if (!text) return [];
  return text.trim().split(/\n\s*\n/).map((paragraph) => el("p", {}, inline(paragraph)));
}

/// One line of a description.
export function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`") && part.length > 2) return el("code", {}, part.slice(1, -1));
    if (part.startsWith("**") && part.length > 4) return el("strong", {}, part.slice(2, -2));
    return part;
  });
}
