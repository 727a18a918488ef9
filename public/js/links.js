// A server that hides how it is built (general.introspection) does not describe its API either.
async function hideLinks() {
  const response = await fetch("/api/status", { cache: "no-store" });
  const { status } = await response.json();
  if (status === undefined) return;
  for (const link of document.querySelectorAll("[data-describes]"))
    link.hidden = true;
}

hideLinks().catch(() => {});
