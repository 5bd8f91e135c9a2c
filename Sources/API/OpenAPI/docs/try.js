import { el } from "./dom.js";

const SHOWN = 1 << 20; // characters of an answer

/// A form that sends the operation to this API, and what came back.
export function tryIt(operation, schemas, token) {
  const fields = operation.parameters.map((parameter) => new Field(parameter, schemas, operation.id));
  const content = operation.requestBody?.content ?? {};
  const media = Object.keys(content)[0];
  const bodyId = `${operation.id}-body`;
  const body = media ? el("textarea", { id: bodyId, spellcheck: "false" }) : null;
  if (body) body.value = JSON.stringify(schemas.example(content[media].schema ?? {}), null, 2);
  const send = el("button", { type: "submit" }, "Send");
  const stop = el("button", { type: "button", disabled: true }, "Stop");
  const result = el("div", { class: "result", role: "status" });
  let running = null;
  stop.addEventListener("click", () => running?.abort());

  async function submit(event) {
    event.preventDefault();
    const request = { method: operation.method.toUpperCase(), headers: new Headers() };
    if (token()) request.headers.set("authorization", `Bearer ${token()}`);
    const query = new URLSearchParams();
    let path = operation.path;
    for (const field of fields) path = field.apply(path, query, request.headers);
    if (body && body.value.trim()) {
      request.headers.set("content-type", media);
      request.body = body.value;
    }
    const url = query.size ? `${path}?${query}` : path;
    running = new AbortController();
    send.disabled = true;
    stop.disabled = false;
    const output = el("pre", { tabindex: "0" });
    const line = el("p", {}, `${request.method} ${url} …`);
    result.replaceChildren(line, output);
    try {
      // A redirect leads to a page of the front end or of the identity provider: it is shown, not followed.
      const answer = await fetch(url, { ...request, signal: running.signal, redirect: "manual", credentials: "omit" });
      line.replaceChildren(el("span", { class: "status" }, statusOf(answer)), ` ${request.method} ${url}`);
      await show(answer, output);
    } catch (error) {
      line.append(el("span", { class: "failed" }, error.name === "AbortError" ? " stopped" : ` ${error.message}`));
    } finally {
      running = null;
      send.disabled = false;
      stop.disabled = true;
    }
  }

  return el("form", { class: "try", onsubmit: submit },
    el("h3", {}, "Try it"),
    fields.map((field) => field.row),
    body ? el("div", { class: "field" }, el("label", { for: bodyId }, `body (${media})`), body) : null,
    el("p", {}, send, " ", stop), result);
}

function statusOf(answer) {
  if (answer.type === "opaqueredirect") return "a redirect";
  return `${answer.status} ${answer.statusText}`.trim();
}

/// Shows headers and body as they come, so that a stream of events can be watched.
async function show(answer, output) {
  const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  output.textContent = headers ? `${headers}\n\n` : "";
  if (!answer.body) return;
  const head = output.textContent;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value;
    output.textContent = head + text;
    if (text.length > SHOWN) {
      await reader.cancel();
      output.append("\n… (the rest is not shown)");
      return;
    }
  }
  if (answer.headers.get("content-type")?.startsWith("application/json") && text) {
    output.textContent = head + JSON.stringify(JSON.parse(text), null, 2);
  }
}

/// One parameter of the path, the query or the header.
class Field {
  constructor(parameter, schemas, operationId) {
    this.parameter = parameter;
    this.schema = schemas.resolve(parameter.schema);
    const id = `${operationId}-${parameter.in}-${parameter.name}`;
    this.input = this.makeInput(id);
    this.row = el("div", { class: "field" }, el("label", { for: id }, `${parameter.name} (${parameter.in})`), this.input);
  }

  makeInput(id) {
    const { required = false } = this.parameter;
    const choices = this.schema.enum ?? (this.schema.type === "boolean" ? [true, false] : null);
    if (!choices) return el("input", { id, type: "text", required, autocomplete: "off", spellcheck: "false" });
    const empty = required ? [] : [el("option", { value: "" }, "")];
    return el("select", { id }, empty, choices.map((value) => el("option", { value: String(value) }, String(value))));
  }

  /// Puts the value where it belongs; gives the path.
  apply(path, query, headers) {
    const { name, in: place } = this.parameter;
    const value = this.input.value.trim();
    if (place === "path") return path.replace(`{${name}}`, encodeURIComponent(value));
    if (value === "") return path;
    if (place === "header") headers.set(name, value);
    else if (this.schema.type === "array") value.split(",").forEach((part) => query.append(name, part.trim()));
    else query.append(name, value);
    return path;
  }
}
