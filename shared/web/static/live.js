// Keeps parts of a page fresh: `data-live="<event stream>"` on one element, `data-live-part` and an id on each part.
// Where there is no stream: `data-live-every="<seconds>"` on an element within a part, for as long as it is there; once
// it is not, the page is loaded anew.
// A browser opens six connections to a server over HTTP/1.1, so all its tabs share one stream: the tab that holds the
// lock has it and passes on what comes. A hidden tab takes no part, and is refreshed when it is shown again.
import { showLabels } from "./labels.js";

const SETTLE = 300; // milliseconds: a burst of events is one refresh
const WAITING = "[data-live-every]";
const AGAIN_AFTER = 30_000; // milliseconds, once the server has refused an answer or the stream

let timer = 0;
let asking = false;
let stale = false; // something came while this tab was asking

// Not put off by what comes next: a page must move on while events go on and on.
function refreshSoon() {
  if (asking) stale = true;
  else timer ||= setTimeout(refresh, SETTLE);
}

function start(address) {
  let taking = null;
  let since = cameAt();
  function follow() {
    if (document.hidden) {
      taking?.abort();
      taking = null;
    } else if (!taking) {
      taking = new AbortController();
      takePart(address, since, taking.signal);
    }
  }
  document.addEventListener("visibilitychange", () => {
    since = performance.now();
    follow();
    if (taking) refreshSoon();
  });
  follow();
}

// When this page came, in milliseconds since it was asked for. It shows nothing that is newer.
function cameAt() {
  return performance.getEntriesByType("navigation")[0]?.responseStart ?? 0;
}

// `since`: what came later, the page may not show yet.
function takePart(address, since, signal) {
  const others = new BroadcastChannel(address);
  others.onmessage = refreshSoon;
  signal.addEventListener("abort", () => others.close());
  if (performance.now() - since > SETTLE) refreshSoon(); // a message may have passed it by
  const heard = () => {
    refreshSoon();
    others.postMessage("heard");
  };
  const hold = () =>
    listen(address, signal, {
      opened: () => performance.now() - since > SETTLE && heard(), // all tabs may have missed something
      heard,
    });
  // Browsers have locks on pages that came over HTTPS, or from this machine. Elsewhere each tab has its own stream.
  if (navigator.locks) navigator.locks.request(address, { signal }, hold).catch(() => {}); // hidden while it waited
  else hold();
}

// Resolves once `signal` says that this tab no longer takes part.
function listen(address, signal, { opened, heard }) {
  return new Promise((done) => {
    let events;
    let again = 0;
    function open() {
      events = new EventSource(address);
      events.onopen = opened;
      events.onmessage = heard;
      events.onerror = () => {
        if (events.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_AFTER);
      };
    }
    open();
    signal.addEventListener("abort", () => {
      clearTimeout(again);
      events.close();
      done();
    });
  });
}

let later = 0;

// One question at a time: the answer to an earlier one must not replace that to a later one.
async function refresh() {
  timer = 0;
  if (asking) return refreshSoon();
  asking = true;
  stale = false;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  const text = answer?.ok ? await answer.text().catch(() => null) : null;
  asking = false;
  if (text !== null) show(new DOMParser().parseFromString(text, "text/html"));
  else if (!answer || answer.ok || answer.status === 429 || answer.status >= 500) {
    clearTimeout(later);
    later = setTimeout(refreshSoon, AGAIN_AFTER);
  }
  if (stale) refreshSoon();
}

function show(fresh) {
  for (const part of document.querySelectorAll("[data-live-part]")) {
    const next = fresh.getElementById(part.id);
    if (part.querySelector(WAITING) && !next?.querySelector(WAITING)) return reload();
    if (!next || next.innerHTML === part.dataset.was) continue;
    if (part.contains(document.activeElement)) {
      part.addEventListener("focusout", refreshSoon, { once: true }); // never pull a control from under hands
      continue;
    }
    part.dataset.was = next.innerHTML;
    part.replaceChildren(...next.childNodes);
    showLabels(part);
  }
}

// What was waited for is there: all of the page may be another, and not only its parts.
function reload() {
  const typing = document.activeElement?.matches("input, select, textarea") ? document.activeElement : null;
  if (typing) typing.addEventListener("focusout", refreshSoon, { once: true });
  else location.reload();
}

function again() {
  const asking = document.querySelector(WAITING);
  if (!asking) return;
  setTimeout(async () => {
    if (!document.hidden) await refresh();
    again();
  }, 1000 * Number(asking.dataset.liveEvery));
}

again();
for (const source of document.querySelectorAll("[data-live]")) start(source.dataset.live);
