/** Multipart bodies; the boundary is `b`. */

export interface Form {
  name: string;
  body: string;
}

const part = (headers: string, content = "x") =>
  `--b\r\n${headers}\r\n\r\n${content}\r\n`;
const field = (name: string, content = "x") =>
  part(`Content-Disposition: form-data; name="${name}"`, content);
const file = (filename: string, content = "x", more = "") =>
  part(
    `Content-Disposition: form-data; name="picture"; filename="${filename}"${more}`,
    content,
  );
const END = "--b--\r\n";

export const FORMS: Form[] = [
  { name: "no parts", body: END },
  { name: "no end", body: field("text") },
  {
    name: "a part that does not end",
    body: '--b\r\nContent-Disposition: form-data; name="picture"; filename="a"\r\n\r\nabc',
  },
  {
    name: "a head that does not end",
    body: `--b\r\nContent-Disposition: form-data; name="${"a".repeat(100_000)}`,
  },
  { name: "a part without a head", body: `--b\r\n\r\nx\r\n${END}` },
  {
    name: "a part without a name",
    body: part("Content-Disposition: form-data") + END,
  },
  { name: "many parts", body: field("text").repeat(20_000) + END },
  { name: "many files", body: file("a.txt").repeat(500) + END },
  { name: "many empty parts", body: "--b\r\n".repeat(100_000) + END },
  {
    name: "many headers of a part",
    body:
      part(
        `Content-Disposition: form-data; name="a"\r\n${"X-A: b\r\n".repeat(20_000)}X-C: d`,
      ) + END,
  },
  {
    name: "a long header of a part",
    body:
      part(
        `Content-Disposition: form-data; name="a"; x="${"a".repeat(200_000)}"`,
      ) + END,
  },
  {
    name: "a field called __proto__",
    body:
      field("__proto__", "polluted") + field("__proto__[polluted]", "1") + END,
  },
  {
    name: "a field called constructor",
    body: field("constructor[prototype][polluted]", "1") + END,
  },
  {
    name: "a file called as a path",
    body:
      file("../../../../../../tmp/hostile") + file("C:\\\\windows\\\\x") + END,
  },
  { name: "a file called with a null byte", body: file("a.txt\0.png") + END },
  {
    name: "a file called with line breaks",
    body: file("a\r\nX-Injected: yes") + END,
  },
  {
    name: "a file called as long as no file system allows",
    body: file("a".repeat(10_000)) + END,
  },
  {
    name: "a file with an encoded name",
    body: file("a", "x", "; filename*=UTF-8''%2e%2e%2f%ff%zz") + END,
  },
  {
    name: "a file with an unknown charset in its name",
    body: file("a", "x", "; filename*=nonsense''a") + END,
  },
  {
    name: "a file of a megabyte",
    body: file("a", "x".repeat(1024 * 1024)) + END,
  },
  {
    name: "a field of a megabyte",
    body: field("text", "x".repeat(1024 * 1024)) + END,
  },
  {
    name: "boundaries in the content",
    body: file("a", "\r\n--a\r\n--\r\n-\r\n--bb\r\n".repeat(10_000)) + END,
  },
  {
    name: "line ends in the content",
    body: file("a", "\r\n".repeat(200_000)) + END,
  },
  {
    name: "nested multipart",
    body:
      part(
        'Content-Disposition: form-data; name="a"\r\nContent-Type: multipart/mixed; boundary=c',
        "--c\r\n\r\nx\r\n--c--",
      ) + END,
  },
  {
    name: "base64 as transfer encoding",
    body:
      part(
        'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64',
        "====",
      ) + END,
  },
  { name: "no boundary in the body", body: "x".repeat(200_000) },
  { name: "an empty body", body: "" },
];
