import { el, inline } from "./dom.js";

/// What a schema says, with references resolved against the document.
export class Schemas {
  constructor(document) {
    this.document = document;
  }

  /// The object that a `$ref` leads to, or the value itself.
  resolve(value) {
    while (value && value.$ref) {
      value = value.$ref.split("/").slice(1)
        .reduce((found, name) => found?.[name.replaceAll("~1", "/").replaceAll("~0", "~")], this.document);
    }
    return value ?? {};
  }

  /// Members, which of them have to be there, and what other members may hold: those of all parts together.
  parts(schema) {
    const { properties = {}, required = [], additionalProperties, allOf = [] } = this.resolve(schema);
    const all = { properties: { ...properties }, required: new Set(required), others: additionalProperties };
    for (const part of allOf.map((part) => this.parts(part))) {
      all.properties = { ...part.properties, ...all.properties };
      part.required.forEach((name) => all.required.add(name));
      all.others ??= part.others;
    }
    return all;
  }

  /// The type and its limits in one line.
  type(schema) {
    const resolved = this.resolve(schema);
    if ("const" in resolved) return JSON.stringify(resolved.const);
    if (resolved.enum) return resolved.enum.map((value) => JSON.stringify(value)).join(" | ");
    const choices = resolved.oneOf ?? resolved.anyOf;
    if (choices) return choices.map((choice) => this.type(choice)).join(" or ");
    const names = [resolved.type ?? (resolved.properties || resolved.allOf ? "object" : "any value")].flat();
    let text = names.map((name) => (name === "array" ? `array of ${this.type(resolved.items ?? {})}` : name)).join(" | ");
    if (resolved.format) text += ` (${resolved.format})`;
    const limits = [];
    const range = (low, high, what) => {
      if (low !== undefined && high !== undefined) limits.push(`${low} to ${high}${what}`);
      else if (low !== undefined) limits.push(`at least ${low}${what}`);
      else if (high !== undefined) limits.push(`at most ${high}${what}`);
    };
    range(resolved.minimum, resolved.maximum, "");
    range(resolved.minLength, resolved.maxLength, " characters");
    range(resolved.minItems, resolved.maxItems, " elements");
    if (resolved.default !== undefined) limits.push(`default ${JSON.stringify(resolved.default)}`);
    return limits.length ? `${text}, ${limits.join(", ")}` : text;
  }

  /// The members of a value, each with its own, down to the first repetition; nothing for what has none.
  members(schema, above = []) {
    const resolved = this.resolve(schema);
    if (above.includes(resolved)) return el("span", { class: "note" }, " (as above)");
    const path = [...above, resolved];
    const choices = resolved.oneOf ?? resolved.anyOf;
    if (choices) {
      const shown = choices.map((choice) => this.members(choice, path)).filter(Boolean);
      return shown.length ? shown : null;
    }
    if (resolved.items) return this.members(resolved.items, path);
    const { properties, required, others } = this.parts(resolved);
    const rows = Object.entries(properties).map(([name, member]) => this.member(name, member, required.has(name), path));
    if (others && others !== true) rows.push(this.member("(any name)", others, false, path));
    return rows.length ? el("ul", { class: "members" }, rows) : null;
  }

  member(name, schema, isRequired, path) {
    const about = schema.description ?? this.resolve(schema).description;
    return el("li", {},
      el("code", {}, name), " ", el("span", { class: "type" }, this.type(schema)),
      isRequired ? el("span", { class: "required" }, " required") : null,
      about ? el("span", { class: "note" }, " ", inline(about)) : null,
      this.members(schema, path));
  }

  /// A value that the schema allows, with the members that have to be there.
  example(schema, above = []) {
    const resolved = this.resolve(schema);
    if (resolved.example !== undefined) return resolved.example;
    if (resolved.examples?.length) return resolved.examples[0];
    if (resolved.default !== undefined) return resolved.default;
    if ("const" in resolved) return resolved.const;
    if (resolved.enum) return resolved.enum[0];
    if (above.includes(resolved)) return null;
    const path = [...above, resolved];
    const choices = resolved.oneOf ?? resolved.anyOf;
    if (choices) return this.example(choices[0], path);
    const type = [resolved.type ?? "object"].flat()[0];
    if (type === "array") return [this.example(resolved.items ?? {}, path)];
    if (type === "integer" || type === "number") return resolved.minimum ?? 0;
    if (type === "boolean") return false;
    if (type === "null") return null;
    if (type === "string") return { uuid: "00000000-0000-4000-8000-000000000000", date: "2026-01-31",
      "date-time": "2026-01-31T00:00:00Z" }[resolved.format] ?? "text";
    const { properties, required } = this.parts(resolved);
    return Object.fromEntries([...required].map((name) => [name, this.example(properties[name] ?? {}, path)]));
  }
}
