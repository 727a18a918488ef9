/** The static site that `npm run docs:site` makes of the pages: it needs no server, and has search and a dark mode. */
import * as fs from "node:fs";
import * as path from "node:path";

const root = path.join(import.meta.dirname, "..", "..");
const index = fs.readFileSync(path.join(root, "docs", "README.md"), "utf8");
const { version } = JSON.parse(
  fs.readFileSync(path.join(root, "package.json"), "utf8"),
);

/** The sections and links of docs/README.md. */
function sidebar() {
  const sections = index.split(/^\*\*(.+)\*\*$/m).slice(1);
  const groups = [];
  for (let i = 0; i < sections.length; i += 2) {
    const links = sections[i + 1].matchAll(/^- \[([^\]]+)\]\(([^)]+)\)/gm);
    const items = [...links].map(([, text, target]) => ({
      text,
      link: `/${path.posix.join("docs", target)}`,
    }));
    groups.push({ text: sections[i], items });
  }
  return groups;
}

/**
 * Links of the pages lead to files of the repository. On the site, README.md is the start page, a folder is its README, and
 * a target that is not a page loses its link.
 */
function linkTo(target, page) {
  const [file, anchor] = target.split("#");
  if (/^\w+:/.test(target) || file === "") return target;
  const found = path.resolve(path.dirname(page), file);
  const readme = path.join(found, "README.md");
  const document = fs.existsSync(readme) ? readme : found;
  if (!document.endsWith(".md")) return undefined;
  const name = path.relative(root, document).replace(/\.md$/, "");
  const url = name === "README" ? "/" : `/${name}`;
  return anchor === undefined ? url : `${url}#${anchor}`;
}

function useSiteLinks(md) {
  md.core.ruler.push("site-links", ({ tokens, env }) => {
    for (const { children } of tokens)
      for (const token of children ?? []) {
        if (token.type !== "link_open") continue;
        const target = linkTo(token.attrGet("href"), env.path);
        if (target === undefined) token.attrs = [];
        else token.attrSet("href", target);
      }
  });
}

export default {
  title: `actionhero ${version}`,
  description: "The server framework for Node.js APIs",
  srcDir: root,
  srcExclude: [
    "**/node_modules/**",
    "test/**",
    "bin/**",
    "tmp/**",
    ".github/**",
    "docs/api/**",
  ],
  outDir: path.join(root, "tmp", "site"),
  cacheDir: path.join(root, "tmp", "site-cache"),
  rewrites: { "README.md": "index.md" },
  markdown: { config: useSiteLinks },
  ignoreDeadLinks: [/^https?:\/\/localhost/],
  vite: { publicDir: false },
  themeConfig: {
    search: { provider: "local" },
    sidebar: sidebar(),
    outline: [2, 3],
    nav: [
      { text: "Documentation", link: "/docs/README" },
      { text: "From version 29", link: "/docs/migrating-from-v29" },
      { text: "Changes", link: "/CHANGELOG" },
    ],
  },
};
