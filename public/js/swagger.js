// Reads the OpenAPI document, or else that of the action swagger, and makes a form of every action in it.
const element = (id) => document.getElementById(id);
const ALL = ["get", "post", "put", "patch", "delete"];
const WITH_BODY = ["post", "put", "patch"];
const METADATA = ["serverInformation", "requesterInformation"];
const SOCKET_MS = 10_000;
const MAX_DEPTH = 8;

function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/* --- documents: one list of actions, whichever document there is --- */

/** Whichever the server has: `{ title, description, base, actions }`, or undefined if it describes nothing. */
async function readDocument() {
  const swagger = await readJson("/api/swagger");
  // a request that fails would show in the console of the browser; without the action swagger, there may be one
  const hasOpenApi = !swagger || "x-openapi" in swagger;
  const openapi = hasOpenApi && (await readJson("/api/openapi.json"));
  if (openapi?.openapi) return fromOpenApi(openapi);
  return swagger && fromSwagger(swagger);
}

async function readJson(url) {
  const response = await fetch(url);
  if (response.status === 404) return undefined;
  const body = await response.json();
  if (body.error) throw new Error(body.error);
  return body;
}

function fromOpenApi({ info, servers, paths, components }) {
  const schemas = components?.schemas ?? {};
  const operations = [];
  for (const [path, table] of Object.entries(paths))
    for (const [method, operation] of Object.entries(table))
      operations.push(fromOperation({ path, method, operation, schemas }));
  return {
    info,
    // the document may name the host that the world sees; requests go where this page is from
    base: new URL(servers?.[0]?.url ?? "/", location.href).pathname,
    actions: joined(operations),
    schemas,
    schemes: Object.values(components?.securitySchemes ?? {}),
  };
}

function fromOperation({ path, method, operation, schemas }) {
  const { operationId, summary = "", tags = [], requestBody } = operation;
  const content = requestBody?.content ?? {};
  const isForm = "multipart/form-data" in content;
  const body = resolved(Object.values(content)[0]?.schema, schemas) ?? {};
  const inPath = new Map(); // inputs, by the names that they have in the path
  const fields = [];
  for (const parameter of operation.parameters ?? []) {
    const name = parameter["x-input"] ?? parameter.name;
    if (parameter.in === "path") {
      const isRepeated = [...inPath.values()].includes(name);
      inPath.set(parameter.name, name);
      if (isRepeated) continue;
    }
    fields.push({
      name,
      isHeader: parameter.in === "header",
      isRequired: parameter.required === true,
      schema: parameter.schema ?? {},
    });
  }
  for (const [name, schema] of Object.entries(body.properties ?? {})) {
    const isRequired = (body.required ?? []).includes(name);
    fields.push({ name, isRequired, schema });
  }
  return {
    targets: [{ method, path: withInputs(path, inPath) }],
    // a second operation of an action has its method behind the name
    name: operationId.replace(new RegExp(`\\.${method}(\\.\\d+)?$`), ""),
    version: operation["x-api-version"],
    summary,
    tags,
    isForm,
    fields,
    responses: Object.entries(operation.responses ?? {}),
  };
}

/** Paths that are one in the document may have other inputs for each method. */
function withInputs(path, inputs) {
  return path.replace(
    /\{([^{}]+)\}/g,
    (_match, name) => `{${inputs.get(name) ?? name}}`,
  );
}

function fromSwagger({ info, basePath, paths }) {
  const operations = [];
  for (const [path, table] of Object.entries(paths))
    for (const [method, operation] of Object.entries(table))
      operations.push({
        targets: (method === "all" ? ALL : [method]).map((one) => ({
          method: one,
          path,
        })),
        summary: operation.summary ?? "",
        tags: operation.tags ?? [],
        isForm: (operation.consumes ?? []).includes("multipart/form-data"),
        fields: (operation.parameters ?? []).map((parameter) => ({
          name: parameter.name,
          isRequired: parameter.required === true,
          schema:
            parameter.type === "file"
              ? { type: "string", contentMediaType: "application/octet-stream" }
              : { default: parameter.default },
        })),
        responses: [],
      });
  return {
    info,
    base: basePath,
    actions: joined(operations),
    schemas: {},
    schemes: [],
  };
}

/** An action is shown once with all its paths and methods; versions that differ are actions of their own. */
function joined(operations) {
  const actions = new Map();
  for (const operation of operations) {
    const key = keyOf(operation);
    const known = actions.get(key);
    if (!known) {
      actions.set(key, operation);
      continue;
    }
    known.targets.push(...operation.targets);
    known.isForm ||= operation.isForm;
    const names = known.fields.map((field) => field.name);
    known.fields.push(
      ...operation.fields.filter(({ name }) => !names.includes(name)),
    );
  }
  const pathOf = ({ targets }) => targets[0].path;
  return [...actions.values()].sort((a, b) => (pathOf(a) < pathOf(b) ? -1 : 1));
}

/** The document of Swagger has no names of actions: there it is the path. */
function keyOf({ name, version, targets, summary, tags, fields, responses }) {
  const which = name
    ? [name, version, fields.map((field) => field.name).sort(), responses]
    : [targets[0].path];
  return JSON.stringify([which, summary, tags]);
}

function pathsOf({ targets }) {
  return [...new Set(targets.map(({ path }) => path))];
}

/** What chooses a target: its method, and its path if there are several. */
function labelOf(action, { method, path }) {
  return pathsOf(action).length > 1 ? `${method} ${path}` : method;
}

/* --- schemas --- */

function resolved(schema, schemas) {
  let found = schema;
  for (let i = 0; i < 16 && typeof found?.$ref === "string"; i++)
    found = followed(found.$ref, schemas);
  return found;
}

/** `#/components/schemas/name` and what is below it. */
function followed(reference, schemas) {
  const keys = reference.split("/").slice(3).map(unescaped);
  return keys.reduce((found, key) => found?.[key], schemas);
}

function unescaped(key) {
  return decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~");
}

/** A schema in the notation of TypeScript; what refers to itself by its name. */
function notation(schema, schemas, { indent = "", seen = [] } = {}) {
  if (schema === undefined || schema === true) return "any";
  if (schema === false) return "nothing";
  if (schema.$ref !== undefined) {
    const component = unescaped(schema.$ref.split("/").pop());
    const name = component.replace(/^.*\.(input|output)\./, "");
    if (seen.includes(schema.$ref) || seen.length > MAX_DEPTH)
      return name.startsWith("__") ? "…" : name; // libraries name some by numbers
    return notation(resolved(schema, schemas), schemas, {
      indent,
      seen: [...seen, schema.$ref],
    });
  }
  const at = { indent, seen };
  const several = schema.anyOf ?? schema.oneOf;
  const parts = several ?? schema.allOf;
  if (parts)
    return parts
      .map((part) => notation(part, schemas, at))
      .join(several ? " | " : " & ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum)
    return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.contentMediaType) return "file";
  if (Array.isArray(schema.type))
    return schema.type
      .map((type) => notation({ ...schema, type }, schemas, at))
      .join(" | ");
  if (schema.type === "array" || schema.items)
    return listNotation(schema, schemas, at);
  if (schema.type === "object" || schema.properties)
    return objectNotation(schema, schemas, at);
  const format = schema.format ? ` (${schema.format})` : "";
  return (schema.type ?? "any") + format;
}

function listNotation({ items, prefixItems }, schemas, at) {
  if (prefixItems) {
    const parts = prefixItems.map((item) => notation(item, schemas, at));
    return `[${parts.join(", ")}]`;
  }
  const item = notation(items, schemas, at);
  return / [|&] /.test(item) ? `(${item})[]` : `${item}[]`;
}

function objectNotation(schema, schemas, { indent, seen }) {
  const { properties = {}, required = [], additionalProperties } = schema;
  const deeper = { indent: indent + "  ", seen };
  const lines = Object.entries(properties).map(([name, property]) => {
    const mark = required.includes(name) ? "" : "?";
    const text = notation(property, schemas, deeper);
    const note = property.description ? ` // ${property.description}` : "";
    return `${deeper.indent}${name}${mark}: ${text}${note}\n`;
  });
  if (additionalProperties && typeof additionalProperties === "object") {
    const others = notation(additionalProperties, schemas, deeper);
    lines.push(`${deeper.indent}[name]: ${others}\n`);
  }
  return lines.length === 0 ? "object" : `{\n${lines.join("")}${indent}}`;
}

/* --- the form of an action --- */

function choice(name, label, options, chosen) {
  const fieldset = make(
    "fieldset",
    { className: "methods", ariaLabel: label },
    ...options.map((option) =>
      make(
        "label",
        {},
        make("input", {
          type: "radio",
          name,
          value: option,
          checked: option === chosen,
        }),
        option,
      ),
    ),
  );
  fieldset.hidden = options.length < 2;
  return fieldset;
}

/** All that a schema accepts, through unions: its types, as of JSON, and its constants; `any` without a type. */
function acceptedBy(given, schemas, depth = 0) {
  const schema = resolved(given, schemas);
  if (typeof schema !== "object" || depth > MAX_DEPTH) return [{ type: "any" }];
  const parts = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (parts)
    return parts.flatMap((part) => acceptedBy(part, schemas, depth + 1));
  const { contentMediaType, items, properties } = schema;
  if (contentMediaType || resolved(items, schemas)?.contentMediaType)
    return [{ type: "file" }];
  const values = "const" in schema ? [schema.const] : schema.enum;
  if (values) return values.map((value) => ({ type: typeOf(value), value }));
  const type = schema.type ?? (properties ? "object" : items && "array");
  return [type ?? "any"].flat().map((one) => ({
    type: one === "integer" ? "number" : one,
  }));
}

/** Of a value of JSON. */
function typeOf(value) {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

const KINDS = {
  file: "file",
  boolean: "boolean",
  number: "number",
  string: "text",
  "null string": "text",
  object: "json",
  array: "json",
  "array object": "json",
};

/** How the text of a field is made into a value. */
function kindOf(accepted) {
  if (accepted.every(({ value }) => typeof value === "string")) return "choice";
  const types = typesOf(accepted);
  return KINDS[types.join(" ")] ?? "mixed";
}

function typesOf(accepted) {
  return [...new Set(accepted.map(({ type }) => type))].sort();
}

function hasMembers(types) {
  return types.includes("object") || types.includes("array");
}

function control(kind, schema, accepted) {
  if (kind === "choice" || kind === "boolean") {
    const values =
      kind === "choice"
        ? new Set(accepted.map(({ value }) => value))
        : ["true", "false"];
    return make(
      "select",
      {},
      ...["", ...values].map((value) =>
        make("option", { value, textContent: value }),
      ),
    );
  }
  if (hasMembers(typesOf(accepted)) && kind !== "file")
    return make("textarea", { rows: 3, spellcheck: false });
  const field = make("input", { autocomplete: "off" });
  if (kind === "file") {
    field.type = "file";
    field.multiple = schema.type === "array";
  }
  if (kind === "number") field.inputMode = "decimal";
  return field;
}

function inputField(
  { name, isHeader = false, isRequired, schema: given },
  schemas,
) {
  const schema = resolved(given, schemas) ?? {};
  const accepted = acceptedBy(given, schemas);
  const kind = kindOf(accepted);
  const field = control(kind, schema, accepted);
  field.name = name;
  field.dataset.kind = kind;
  field.dataset.types = typesOf(accepted).join(" ");
  if (isHeader) field.dataset.header = "";
  if (schema.default !== undefined && kind !== "file")
    field.placeholder =
      typeof schema.default === "object"
        ? JSON.stringify(schema.default)
        : String(schema.default);
  const type = notation(given, schemas);
  const hasLines = type.includes("\n");
  const hints = [
    ...(isRequired ? ["required"] : []),
    ...(hasLines || type === "any" ? [] : [type]),
  ];
  const note = schema.description ?? given.description;
  return make(
    "label",
    {},
    make(
      "span",
      {},
      name,
      make("span", {
        className: "soft inline",
        textContent: hints.length > 0 ? ` (${hints.join(", ")})` : "",
      }),
    ),
    ...(note ? [make("span", { className: "soft", textContent: note })] : []),
    ...(hasLines
      ? [make("code", { className: "shape soft", textContent: type })]
      : []),
    field,
  );
}

function valueOf(field) {
  const { kind, types } = field.dataset;
  if (kind === "file")
    return field.multiple ? [...field.files] : field.files[0];
  const text = field.value;
  if (kind === "boolean") return text === "true";
  if (kind === "number" && text.trim() !== "" && Number.isFinite(Number(text)))
    return Number(text);
  if (kind === "json") return parsed(field);
  return kind === "mixed" ? mixedValue(field, types.split(" ")) : text;
}

/** What JSON gives, if the schema accepts its type; else the text. Without a schema, only objects and lists are not texts. */
function mixedValue(field, types) {
  try {
    const value = parsed(field);
    const type = typeOf(value);
    if (types.includes(type)) return value;
    return types.includes("any") && hasMembers([type]) ? value : field.value;
  } catch (error) {
    if (hasMembers(types) && !types.includes("string")) throw error;
    return field.value;
  }
}

/** @throws Error for a text that is not JSON */
function parsed(field) {
  try {
    return JSON.parse(field.value);
  } catch (error) {
    throw new Error(`${field.name} is no JSON: ${error.message}`, {
      cause: error,
    });
  }
}

/** @throws Error for a text that ought to be JSON */
function requestOf(form, base, action) {
  const chosen = form.elements["method:"].value;
  const target = action.targets.find((one) => labelOf(action, one) === chosen);
  const method = target.method.toUpperCase();
  const params = {};
  const inPath = {};
  const headers = headersOf(element("headers").value);
  let { path } = target;
  for (const field of form.querySelectorAll("[data-kind]")) {
    if (field.value === "") continue;
    const variable = "{" + field.name + "}";
    if (target.path.includes(variable)) {
      inPath[field.name] = valueOf(field);
      path = path.replaceAll(variable, encodeURIComponent(field.value));
    } else if ("header" in field.dataset) headers[field.name] = field.value;
    else params[field.name] = valueOf(field);
  }
  let url = base.replace(/\/$/, "") + path;
  const options = { method, headers };
  if (!WITH_BODY.includes(method.toLowerCase())) {
    const query = new URLSearchParams(texts(params)).toString();
    if (query) url += "?" + query;
  } else if (action.isForm) {
    options.body = new FormData();
    for (const [name, value] of texts(params)) options.body.append(name, value);
  } else {
    headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(params);
  }
  return { url, options, params: { ...params, ...inPath } };
}

/** As queries and forms take them: `tags=a&tags=b`, `address[city]=c`. */
function texts(params) {
  return Object.entries(params).flatMap(([name, value]) => named(name, value));
}

function named(name, value) {
  if (typeof value !== "object" || value === null || value instanceof Blob)
    return [[name, value]];
  const isFlat = (item) => typeof item !== "object" || item instanceof Blob;
  if (Array.isArray(value) && value.every(isFlat))
    return value.map((item) => [name, item]);
  return Object.entries(value).flatMap(([key, item]) =>
    named(`${name}[${key}]`, item),
  );
}

/** Lines of `Name: value`. */
function headersOf(text) {
  const headers = {};
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0)
      headers[line.slice(0, colon).trim()] = line.slice(colon + 1).trim();
  }
  return headers;
}

function curlOf({ url, options }) {
  const quote = (text) => "'" + text.replaceAll("'", "'\\''") + "'";
  let text = "curl " + quote(location.origin + url);
  if (options.method !== "GET") text += " -X " + options.method;
  for (const [name, value] of Object.entries(options.headers))
    text += " -H " + quote(`${name}: ${value}`);
  if (options.body instanceof FormData)
    for (const [name, value] of options.body)
      text +=
        " -F " +
        quote(`${name}=${value instanceof File ? "@" + value.name : value}`);
  else if (options.body) text += " -d " + quote(options.body);
  return text;
}

/* --- answers --- */

async function bodyOf(response) {
  const type = response.headers.get("content-type") ?? "";
  if (!/json|text|xml|javascript/.test(type)) {
    const { size } = await response.blob();
    return type + ", " + size + " bytes";
  }
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The metadata of the server is folded. */
function show(answer, head, body) {
  const asText = (value) =>
    typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const children = [];
  if (typeof body === "object" && body !== null && !Array.isArray(body)) {
    const rest = { ...body };
    const metadata = {};
    for (const name of METADATA)
      if (name in rest) {
        metadata[name] = rest[name];
        delete rest[name];
      }
    children.push(asText(rest));
    if (Object.keys(metadata).length > 0)
      children.push(
        make(
          "details",
          {},
          make("summary", { textContent: "Metadata" }),
          make("pre", { textContent: asText(metadata) }),
        ),
      );
  } else children.push(asText(body));
  const [text, ...others] = children;
  answer.replaceChildren(
    make("pre", { textContent: head + "\n\n" + text }),
    ...others,
  );
}

async function runByHttp({ url, options }, answer) {
  const response = await fetch(url, options);
  show(
    answer,
    response.status + " " + response.statusText,
    await bodyOf(response),
  );
}

let connecting;

/** Connected when it is first wanted. */
function connection() {
  connecting ??= new Promise((resolve, reject) => {
    const fail = () => {
      connecting = undefined;
      reject(new Error("this server takes no websockets"));
    };
    const script = make("script", {
      src: "/public/javascript/ActionheroWebsocketClient.js",
      onerror: fail,
      onload: () => {
        const socket = new window.ActionheroWebsocketClient();
        const timer = setTimeout(fail, SOCKET_MS);
        socket.on("error", () => {});
        socket.connect((error) => {
          clearTimeout(timer);
          if (error) fail();
          else resolve(socket);
        });
      },
    });
    document.head.append(script);
  });
  return connecting;
}

async function runBySocket({ name, version }, { params }, answer) {
  const socket = await connection();
  const ofVersion =
    version === undefined ? params : { apiVersion: version, ...params };
  const body = await new Promise((resolve) =>
    socket.action(name, ofVersion, resolve),
  );
  show(answer, body.error ? "error" : "OK", body);
}

function describeResponses({ responses }, schemas) {
  return responses.flatMap(([status, { description, content }]) => {
    const { schema, example } = content?.["application/json"] ?? {};
    const title = status === "default" ? "Errors" : status;
    return [
      make("h3", { textContent: `${title}: ${description}` }),
      make("pre", { textContent: notation(schema, schemas) }),
      ...(example === undefined
        ? []
        : [
            make("p", { className: "soft", textContent: "Example" }),
            make("pre", { textContent: JSON.stringify(example, null, 2) }),
          ]),
    ];
  });
}

/** GET, unless a query cannot carry all values: it has no empty lists and objects. */
function preselected({ targets, fields }, schemas) {
  const hasStructure = fields.some(({ schema }) =>
    hasMembers(typesOf(acceptedBy(schema, schemas))),
  );
  const of = (wanted) => targets.find(({ method }) => method === wanted);
  return (hasStructure && of("post")) || (of("get") ?? targets[0]);
}

function card(action, { base, schemas }) {
  const { targets, name, summary, tags, fields } = action;
  const paths = pathsOf(action);
  const methods = [...new Set(targets.map(({ method }) => method))];
  const first = preselected(action, schemas);
  const curl = make("pre", { ariaLabel: "Command" });
  const answer = make("div", {
    className: "answer",
    hidden: true,
    ariaLive: "polite",
  });
  const hasFile = fields.some(
    ({ schema }) => kindOf(acceptedBy(schema, schemas)) === "file",
  );
  const transports = name && !hasFile ? ["HTTP", "WebSocket"] : ["HTTP"];
  const form = make(
    "form",
    {},
    choice(
      "method:",
      paths.length > 1 ? "Method and path" : "Method",
      targets.map((target) => labelOf(action, target)),
      labelOf(action, first),
    ),
    ...fields.map((field) => inputField(field, schemas)),
    choice("over:", "Transport", transports, "HTTP"),
    make("button", {}, "Run"),
    curl,
    answer,
    ...describeResponses(action, schemas),
  );
  const update = () => {
    const isBySocket = form.elements["over:"].value === "WebSocket";
    curl.hidden = isBySocket;
    try {
      curl.textContent = curlOf(requestOf(form, base, action));
    } catch (error) {
      curl.textContent = error.message;
    }
  };
  const run = async () => {
    answer.hidden = false;
    answer.textContent = "…";
    try {
      const request = requestOf(form, base, action);
      if (form.elements["over:"].value === "WebSocket")
        await runBySocket(action, request, answer);
      else await runByHttp(request, answer);
    } catch (error) {
      answer.textContent = "no answer: " + error.message;
    }
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void run();
  });
  element("headers").addEventListener("input", update);
  update();
  const details = make(
    "details",
    { className: "card" },
    make(
      "summary",
      {},
      make("strong", { className: "mono" }, paths.join(" ")),
      make(
        "span",
        { className: "soft mono inline" },
        methods.join(" ").toUpperCase(),
      ),
      // the name that clients of the other transports call; documents of Swagger have none
      ...(name ? [make("span", { className: "mono name" }, name)] : []),
      make("span", { className: "soft" }, summary),
    ),
    form,
  );
  details.dataset.path = paths[0];
  details.dataset.text = [...paths, name, summary, ...tags]
    .join(" ")
    .toLowerCase();
  return details;
}

/* --- the page --- */

function filter() {
  const wanted = element("filter").value.trim().toLowerCase();
  let shown = 0;
  for (const details of element("operations").children) {
    details.hidden = !details.dataset.text.includes(wanted);
    if (!details.hidden) shown++;
  }
  element("count").textContent = shown + (shown === 1 ? " action" : " actions");
}

/** What the document says of tokens is what the field for headers proposes. */
function proposal(schemes) {
  const lines = schemes.flatMap((scheme) => {
    if (scheme.type === "apiKey" && scheme.in === "header")
      return [`${scheme.name}: …`];
    if (scheme.type === "http" && scheme.scheme === "basic")
      return ["Authorization: Basic …"];
    return scheme.type === "apiKey" ? [] : ["Authorization: Bearer …"];
  });
  return lines[0] ?? "Authorization: Bearer …";
}

async function load() {
  const description = element("description");
  try {
    const found = await readDocument();
    if (!found) {
      description.textContent = "this server does not describe its API";
      return;
    }
    const { info, actions, schemes } = found;
    element("title").textContent = info.title + " " + info.version;
    description.textContent = info.description ?? "";
    element("headers").placeholder = proposal(schemes);
    element("tools").hidden = false;
    element("operations").replaceChildren(
      ...actions.map((action) => card(action, found)),
    );
    filter();
  } catch (error) {
    description.textContent =
      "the description of the API cannot be read: " + error.message;
  }
}

element("filter").addEventListener("input", filter);
void load();
