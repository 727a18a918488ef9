// Reads /api/swagger and makes a form of every path in it.
const element = (id) => document.getElementById(id);
const ALL = ["get", "post", "put", "patch", "delete"];

function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function methodChoice(path, methods) {
  const chosen = methods.includes("get") ? "get" : methods[0];
  return make(
    "fieldset",
    { className: "methods", ariaLabel: "Method" },
    ...methods.map((method) =>
      make(
        "label",
        {},
        make("input", {
          type: "radio",
          name: "method:",
          value: method,
          checked: method === chosen,
        }),
        method,
      ),
    ),
  );
}

function inputField(parameter) {
  const hint = parameter.required ? " (required)" : "";
  const field = make("input", {
    name: parameter.name,
    autocomplete: "off",
  });
  field.dataset.in = parameter.in;
  if (parameter.default !== undefined)
    field.placeholder = String(parameter.default);
  return make(
    "label",
    {},
    make(
      "span",
      {},
      parameter.name,
      make("span", { className: "soft", style: "display: inline" }, hint),
    ),
    field,
  );
}

function requestOf(form, base, path) {
  const method = form.elements["method:"].value.toUpperCase();
  const values = {};
  let target = path;
  for (const field of form.querySelectorAll("input[data-in]")) {
    if (field.value === "") continue;
    if (field.dataset.in === "path")
      target = target.replace(
        "{" + field.name + "}",
        encodeURIComponent(field.value),
      );
    else values[field.name] = field.value;
  }
  let url = base.replace(/\/$/, "") + target;
  const hasBody = method !== "GET" && method !== "HEAD";
  const query = new URLSearchParams(values).toString();
  if (!hasBody && query) url += "?" + query;
  const options = { method };
  if (hasBody) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(values);
  }
  return { url, options };
}

function curlOf({ url, options }) {
  const quote = (text) => "'" + text.replaceAll("'", "'\\''") + "'";
  let text = "curl " + quote(location.origin + url);
  if (options.method !== "GET") text += " -X " + options.method;
  if (options.body)
    text += " -H 'Content-Type: application/json' -d " + quote(options.body);
  return text;
}

async function bodyOf(response) {
  const type = response.headers.get("content-type") ?? "";
  if (!/json|text|xml|javascript/.test(type)) {
    const { size } = await response.blob();
    return type + ", " + size + " bytes";
  }
  const text = await response.text();
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function run(request, answer) {
  answer.hidden = false;
  answer.textContent = "…";
  try {
    const response = await fetch(request.url, request.options);
    answer.textContent =
      response.status +
      " " +
      response.statusText +
      "\n\n" +
      (await bodyOf(response));
  } catch (error) {
    answer.textContent = "no answer: " + error.message;
  }
}

function operation(base, path, table) {
  const methods = [
    ...new Set(
      Object.keys(table).flatMap((name) => (name === "all" ? ALL : [name])),
    ),
  ];
  const any = table[methods[0]] ?? Object.values(table)[0];
  const parameters = any.parameters ?? [];
  const curl = make("pre", { ariaLabel: "Command" });
  const answer = make("pre", {
    className: "answer",
    hidden: true,
    ariaLive: "polite",
  });
  const form = make(
    "form",
    {},
    methodChoice(path, methods),
    ...parameters.map(inputField),
    make("button", {}, "Run"),
    curl,
    answer,
  );
  const update = () => (curl.textContent = curlOf(requestOf(form, base, path)));
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(requestOf(form, base, path), answer);
  });
  update();
  const details = make(
    "details",
    { className: "card" },
    make(
      "summary",
      {},
      make("strong", { className: "mono" }, path),
      make(
        "span",
        { className: "soft mono", style: "flex-basis: auto" },
        methods.join(" ").toUpperCase(),
      ),
      make("span", { className: "soft" }, any.summary ?? ""),
    ),
    form,
  );
  details.dataset.path = path;
  details.dataset.text = (
    path +
    " " +
    (any.summary ?? "") +
    " " +
    any.tags.join(" ")
  ).toLowerCase();
  return details;
}

function filter() {
  const wanted = element("filter").value.trim().toLowerCase();
  let shown = 0;
  for (const details of element("operations").children) {
    details.hidden = !details.dataset.text.includes(wanted);
    if (!details.hidden) shown++;
  }
  element("count").textContent = shown + (shown === 1 ? " path" : " paths");
}

async function load() {
  try {
    const response = await fetch("/api/swagger");
    const document_ = await response.json();
    if (response.status === 404) {
      element("filter").parentElement.hidden = true;
      element("description").textContent = document_.error;
      return;
    }
    if (document_.error) throw new Error(document_.error);
    element("title").textContent =
      document_.info.title + " " + document_.info.version;
    element("description").textContent = document_.info.description ?? "";
    const paths = Object.entries(document_.paths).sort(([a], [b]) =>
      a < b ? -1 : 1,
    );
    element("operations").replaceChildren(
      ...paths.map(([path, table]) =>
        operation(document_.basePath, path, table),
      ),
    );
    filter();
  } catch (error) {
    element("description").textContent =
      "/api/swagger does not answer: " + error.message;
  }
}

element("filter").addEventListener("input", filter);
load();
