// Keeps parts of a page fresh: `data-live="<event stream>"` on one element, `data-live-part` and an id on each part.
import { showLabels } from "./labels.js";

const SETTLE = 300; // milliseconds: a burst of events is one refresh

function start(source) {
  let waiting = 0;
  const events = new EventSource(source.dataset.live);
  events.onmessage = () => {
    clearTimeout(waiting);
    waiting = setTimeout(refresh, SETTLE);
  };
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live-part]")) {
    const next = fresh.getElementById(part.id);
    if (!next || next.innerHTML === part.dataset.was) continue;
    if (part.contains(document.activeElement)) continue; // never pull a control from under somebody's hands
    part.dataset.was = next.innerHTML;
    part.replaceChildren(...next.childNodes);
    showLabels(part);
  }
}

for (const source of document.querySelectorAll("[data-live]")) start(source);
