import { el, inline, prose } from "./dom.js";
import { Schemas } from "./schema.js";
import { tryIt } from "./try.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const byId = (id) => document.getElementById(id);

async function start() {
  const main = byId("operations");
  try {
    const answer = await fetch("/docs/openapi.json");
    if (!answer.ok) throw new Error(`the description answered ${answer.status}`);
    new Page(await answer.json(), main).show();
  } catch (error) {
    main.replaceChildren(el("p", { class: "failed", role: "alert" }, `This page cannot be shown: ${error.message}`));
  } finally {
    main.setAttribute("aria-busy", "false");
  }
}

class Page {
  constructor(description, main) {
    this.description = description;
    this.main = main;
    this.schemas = new Schemas(description);
    this.operations = Object.entries(description.paths).flatMap(([path, item]) =>
      METHODS.filter((method) => item[method]).map((method) => this.operation(path, item, method)));
  }

  operation(path, item, method) {
    const found = item[method];
    const parameters = [...(item.parameters ?? []), ...(found.parameters ?? [])]
      .map((parameter) => this.schemas.resolve(parameter));
    return {
      ...found, path, method, parameters, id: found.operationId, tag: found.tags[0],
      requestBody: found.requestBody && this.schemas.resolve(found.requestBody),
      security: found.security ?? this.description.security,
      text: [method, path, found.operationId, found.summary, found.description].join(" ").toLowerCase(),
    };
  }

  show() {
    const { info, tags } = this.description;
    byId("version").textContent = info.version;
    const sections = tags.map((tag) => this.section(tag)).filter(Boolean);
    this.main.replaceChildren(el("section", { "aria-label": "About" }, prose(info.description)), ...sections);
    byId("search").addEventListener("input", () => this.filter());
    byId("tools").addEventListener("submit", (event) => event.preventDefault());
    addEventListener("hashchange", () => this.openNamed());
    this.filter();
    this.openNamed();
  }

  section(tag) {
    const operations = this.operations.filter((operation) => operation.tag === tag.name);
    if (!operations.length) return null;
    const anchor = `group-${tag.name}`;
    for (const operation of operations) operation.element = this.card(operation);
    const count = el("span", { class: "count" });
    const entry = el("li", {}, el("a", { href: `#${anchor}` }, tag.name), " ", count);
    byId("groups").append(entry);
    const section = el("section", { "aria-labelledby": anchor },
      el("h2", { id: anchor }, tag.name), prose(tag.description), operations.map((operation) => operation.element));
    operations.forEach((operation) => Object.assign(operation, { section, entry, count }));
    return section;
  }

  /// An operation, closed; what is inside is made when it is opened first.
  card(operation) {
    const inside = el("div");
    const card = el("details", { class: "operation", id: operation.id },
      el("summary", {},
        el("span", { class: `method ${operation.method}` }, operation.method.toUpperCase()),
        el("span", { class: "path" }, operation.path),
        el("span", { class: "about" }, inline(operation.summary))),
      inside);
    card.addEventListener("toggle", () => {
      if (!card.open || inside.hasChildNodes()) return;
      inside.append(...this.details(operation));
    });
    return card;
  }

  details(operation) {
    const isOpen = operation.security.length === 0;
    const isOptional = operation.security.some((requirement) => Object.keys(requirement).length === 0);
    const access = isOpen ? "Open to everybody." : isOptional ? "Open; shows more with a token." : "Needs a bearer token.";
    return [
      ...prose(operation.description),
      el("p", { class: "open-to-all" }, access, " ", el("a", { href: `#${operation.id}` }, operation.id)),
      this.parameters(operation),
      this.body(operation),
      el("h3", {}, "Answers"),
      ...Object.entries(operation.responses).map(([status, response]) => this.response(status, response)),
      tryIt(operation, this.schemas, () => byId("token").value.trim()),
    ].filter(Boolean);
  }

  parameters({ parameters }) {
    if (!parameters.length) return null;
    return el("table", {},
      el("caption", {}, "Parameters"),
      el("thead", {}, el("tr", {}, ["Name", "Where", "Type", ""].map((title) => el("th", { scope: "col" }, title)))),
      el("tbody", {}, parameters.map((parameter) => el("tr", {},
        el("th", { scope: "row" }, el("code", {}, parameter.name),
          parameter.required ? el("span", { class: "required" }, " required") : null),
        el("td", {}, parameter.in),
        el("td", { class: "type" }, this.schemas.type(parameter.schema ?? {})),
        el("td", {}, inline(parameter.description ?? ""))))));
  }

  body({ requestBody }) {
    if (!requestBody) return null;
    return el("div", {},
      el("h3", {}, "Body", requestBody.required ? el("span", { class: "required" }, " required") : null),
      prose(requestBody.description), this.content(requestBody.content));
  }

  response(status, reference) {
    const response = this.schemas.resolve(reference);
    const headers = Object.entries(response.headers ?? {}).map(([name, header]) =>
      el("li", {}, el("code", {}, name), " ", el("span", { class: "note" },
        inline(this.schemas.resolve(header).description ?? ""))));
    return el("div", { class: "response" },
      el("span", { class: "status" }, status), " ", inline(response.description ?? ""),
      headers.length ? el("ul", { class: "members" }, headers) : null,
      // An error looks the same everywhere: it is shown once, where it is asked for.
      status === "default" || Number(status) >= 400 ? this.folded(response.content) : this.content(response.content));
  }

  folded(content) {
    if (!content) return null;
    const inside = el("div");
    const shell = el("details", {}, el("summary", { class: "note" }, "body"), inside);
    shell.addEventListener("toggle", () => {
      if (shell.open && !inside.hasChildNodes()) inside.append(this.content(content));
    });
    return shell;
  }

  content(content = {}) {
    return el("div", {}, Object.entries(content).map(([media, { schema = {} }]) => [
      el("div", {}, el("code", {}, media), " ", el("span", { class: "type" }, this.schemas.type(schema))),
      this.schemas.members(schema),
    ]));
  }

  filter() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const groups = new Map();
    for (const operation of this.operations) {
      const isShown = words.every((word) => operation.text.includes(word));
      operation.element.hidden = !isShown;
      groups.set(operation.section, { ...operation, shown: (groups.get(operation.section)?.shown ?? 0) + isShown });
    }
    let all = 0;
    for (const { section, entry, count, shown } of groups.values()) {
      section.hidden = entry.hidden = shown === 0;
      count.textContent = shown;
      all += shown;
    }
    byId("found").textContent = `${all} of ${this.operations.length} operations`;
  }

  /// Opens the operation that the address names.
  openNamed() {
    const operation = this.operations.find((operation) => `#${operation.id}` === location.hash);
    if (!operation) return;
    operation.element.open = true;
    operation.element.scrollIntoView();
  }
}

start();
