// Keeps parts of a page fresh: `data-live="<event stream>"` on one element, `data-live-part` and an id on each part.
// Where there is no stream: `data-live-every="<seconds>"` on an element within a part, for as long as it is there.
// A browser opens six connections to a server over HTTP/1.1, so all its tabs share one stream: the tab that holds the
// lock has it and passes on what comes. A hidden tab takes no part, and is refreshed when it is shown again.
import { showLabels } from "./labels.js";

const SETTLE = 300; // milliseconds: a burst of events is one refresh
const AGAIN_AFTER = 30_000; // milliseconds, once the server has refused the stream; the browser then gives up

let waiting = 0;

function refreshSoon() {
  clearTimeout(waiting);
  waiting = setTimeout(refresh, SETTLE);
}

function start(address) {
  let taking = null;
  function follow() {
    if (document.hidden) {
      taking?.abort();
      taking = null;
    } else if (!taking) {
      taking = new AbortController();
      takePart(address, taking.signal);
    }
  }
  document.addEventListener("visibilitychange", () => {
    follow();
    if (taking) refreshSoon();
  });
  follow();
}

function takePart(address, signal) {
  const others = new BroadcastChannel(address);
  others.onmessage = refreshSoon;
  signal.addEventListener("abort", () => others.close());
  const since = performance.now();
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

function again() {
  const asking = document.querySelector("[data-live-every]");
  if (!asking) return;
  setTimeout(async () => {
    if (!document.hidden) await refresh();
    again();
  }, 1000 * Number(asking.dataset.liveEvery));
}

again();
for (const source of document.querySelectorAll("[data-live]")) start(source.dataset.live);
