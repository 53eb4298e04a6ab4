// What is said, beside the player: a line jumps to its place, the one that is heard is marked, and typing finds lines.
const lines = [...document.querySelectorAll("[data-said-lines] [data-at]")];
const player = document.querySelector(".player video, .player audio");

for (const line of lines) {
  line.addEventListener("click", (event) => {
    if (!player || player.hidden) return;
    event.preventDefault();
    player.currentTime = Number(line.dataset.at);
    player.play().catch(() => {});
  });
}

let now = null;
player?.addEventListener("timeupdate", () => {
  const at = player.currentTime;
  const heard = lines.findLast((line) => Number(line.dataset.at) <= at && at < Number(line.dataset.until)) ?? null;
  if (heard === now) return;
  now?.closest("li").removeAttribute("aria-current");
  heard?.closest("li").setAttribute("aria-current", "true");
  now = heard;
});

const filter = document.querySelector("[data-filter]");
if (filter) {
  filter.hidden = false;
  const field = filter.querySelector("input");
  const none = filter.querySelector("[data-none]");
  const said = lines.map((line) => [line.closest("li"), folded(line.closest("li").querySelector("p").textContent)]);
  field.addEventListener("input", () => {
    const words = folded(field.value).split(/\s+/).filter(Boolean);
    let found = 0;
    for (const [item, text] of said) {
      item.hidden = !words.every((word) => text.includes(word));
      found += !item.hidden;
    }
    none.textContent = found ? "" : none.dataset.none;
  });
}

// As the server's search: without case, marks and spelling variants.
function folded(text) {
  return text
    .normalize("NFKD")
    .replace(/\p{M}|ـ/gu, "")
    .replace(/[ىی]/g, "ي")
    .replace(/ة/g, "ه")
    .toLowerCase();
}
