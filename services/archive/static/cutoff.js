// Takes the player away as soon as the recording may not be seen any more. The server cuts the stream by itself; this
// also ends what the browser has stored up. `data-plays`: the address that tells.
const EVERY = 700; // milliseconds

for (const place of document.querySelectorAll("[data-plays]")) guard(place);

function guard(place) {
  const player = place.querySelector("video, audio");
  const bar = place.querySelector("[data-player-bar]");
  const notice = place.querySelector("[data-closed]");
  const source = player.getAttribute("src");
  let at = 0;

  function close(title, text) {
    if (!player.hidden) {
      at = player.currentTime;
      player.pause();
      player.removeAttribute("src");
      player.load();
      player.hidden = true;
      if (bar) bar.hidden = true;
      showBeside(false);
    }
    const [first, second] = notice.querySelectorAll("p");
    if (notice.hidden || first.textContent !== title) {
      notice.hidden = false;
      first.textContent = title;
      second.textContent = text;
    }
  }

  function open() {
    if (!player.hidden) return;
    notice.hidden = true;
    player.hidden = false;
    if (bar) bar.hidden = false;
    player.src = source;
    player.currentTime = at;
    showBeside(true);
  }

  async function look() {
    const answer = await fetch(place.dataset.plays, { headers: { Accept: "application/json" } }).catch(() => null);
    if (answer?.ok) {
      open();
      const { reads } = await answer.json().catch(() => ({}));
      if (reads === false) takeText();
    } else if (!answer || answer.status === 503 || answer.status >= 500) {
      close(place.dataset.cannotTitle, place.dataset.cannotText);
    } else if (answer.status === 401 && (await renewed(place.dataset.plays))) {
      // the session was renewed; the next look tells
    } else {
      const problem = await answer.json().catch(() => ({}));
      close(problem.title ?? place.dataset.cannotTitle, problem.detail ?? "");
      if (answer.status === 404) {
        takeText();
        for (const part of document.querySelectorAll("[data-beside]")) part.remove();
        return;
      }
    }
    setTimeout(look, EVERY);
  }

  setTimeout(look, EVERY);
}

// `data-said`: what is said; `data-beside`: what else goes with the player.
function showBeside(shown) {
  for (const part of document.querySelectorAll("[data-said], [data-beside]")) part.hidden = !shown;
}

// For good: what somebody said stays in no page that may no longer show it.
function takeText() {
  for (const text of document.querySelectorAll("[data-said]")) text.remove();
  for (const track of document.querySelectorAll("[data-plays] track")) track.remove();
}

// A staff session is renewed by the portal, a family's by consent, each with a cookie of its own.
async function renewed(next) {
  const staff = document.body.dataset.renew;
  const answer = await (staff
    ? fetch(staff, { method: "POST", headers: { Accept: "application/json" } })
    : fetch(`/consent/family/renew?next=${encodeURIComponent(next)}`, { headers: { Accept: "application/json" } })
  ).catch(() => null);
  return answer?.ok ?? false;
}
