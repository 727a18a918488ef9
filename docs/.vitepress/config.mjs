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

export default {
  title: `actionhero ${version}`,
  description: "The server framework for Node.js APIs",
  srcDir: root,
  srcExclude: [
    "**/node_modules/**",
    "bench/**",
    "test/**",
    "bin/**",
    "tmp/**",
    ".github/**",
    "docs/api/**",
  ],
  outDir: path.join(root, "tmp", "site"),
  cacheDir: path.join(root, "tmp", "site-cache"),
  rewrites: { "README.md": "index.md" },
  // the folders and files that pages name are in the repository and in the package, not on the site
  ignoreDeadLinks: [
    /^https?:\/\/localhost/,
    /^\.\/[\w-]+$/,
    /\/(?:examples|bench)\//,
    /LICENSE/,
  ],
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
