// Renews the staff session while the page is in sight, so that nobody is signed out in the middle of a sentence.
const FOUR_MINUTES = 4 * 60 * 1000;

async function renew() {
  const address = document.body.dataset.renew;
  if (!address || document.hidden) return;
  const answer = await fetch(address, { method: "POST", headers: { Accept: "application/json" } }).catch(() => null);
  if (answer?.status === 401) tellEnded();
}

function tellEnded() {
  if (document.querySelector(".session-ended")) return;
  const notice = document.createElement("p");
  notice.className = "session-ended notice warn";
  notice.setAttribute("role", "alert");
  notice.textContent = document.body.dataset.ended;
  document.querySelector("main").prepend(notice);
}

setInterval(renew, FOUR_MINUTES);
document.addEventListener("visibilitychange", renew);
