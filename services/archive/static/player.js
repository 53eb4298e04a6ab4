// Around a player: going on where one stopped, small jumps, speed, and keys.
const SAY_EVERY = 15_000; // milliseconds between two times that the place is kept
const WORTH = 10; // seconds, before which nobody wants to go on, nor so close to the end
const JUMP = 10; // seconds

for (const place of document.querySelectorAll("[data-place-url]")) accompany(place);

function accompany(box) {
  const player = box.querySelector("video, audio");
  const bar = box.querySelector("[data-player-bar]");
  const speed = bar.querySelector("[data-speed]");
  bar.hidden = false;
  for (const button of bar.querySelectorAll("[data-skip]"))
    button.addEventListener("click", () => jump(Number(button.dataset.skip)));
  speed.addEventListener("change", () => (player.playbackRate = Number(speed.value)));
  remember(box, bar.querySelector("[data-continue]"), player);

  function jump(seconds) {
    player.currentTime = Math.max(0, Math.min(player.duration || Infinity, player.currentTime + seconds));
  }

  function faster(steps) {
    speed.selectedIndex = Math.max(0, Math.min(speed.options.length - 1, speed.selectedIndex + steps));
    player.playbackRate = Number(speed.value);
  }

  const keys = {
    k: () => (player.paused ? player.play().catch(() => {}) : player.pause()),
    j: () => jump(-JUMP),
    l: () => jump(JUMP),
    "<": () => faster(-1),
    ">": () => faster(1),
    c: () => {
      const [track] = player.textTracks ?? [];
      if (track) track.mode = track.mode === "showing" ? "disabled" : "showing";
    },
  };
  // Only where the player has the focus: who speaks to a computer would press letters all over a page.
  box.addEventListener("keydown", (event) => {
    if (player.hidden || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    const act = keys[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

// A moment plays up to its end, and no further, until somebody does something else.
let end = Infinity;
const [main] = document.querySelectorAll("[data-place-url] video, [data-place-url] audio");

for (const clip of document.querySelectorAll("[data-clip]")) {
  clip.addEventListener("click", (event) => {
    if (!main || main.hidden) return;
    event.preventDefault();
    main.currentTime = Number(clip.dataset.at);
    end = Number(clip.dataset.until ?? Infinity);
    main.play().catch(() => {});
  });
}
main?.addEventListener("timeupdate", () => {
  if (main.currentTime < end) return;
  end = Infinity;
  main.pause();
});

for (const form of document.querySelectorAll("[data-picking]")) {
  for (const [name, text] of [["start", form.dataset.from], ["end", form.dataset.to]]) {
    const field = form.elements[name];
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    button.className = "button secondary here";
    button.addEventListener("click", () => (field.value = clockOf(main.currentTime)));
    field.after(button);
  }
}

function clockOf(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}

function remember(box, button, player) {
  const before = Number(box.dataset.place);
  let said = before;
  let due = 0;
  if (before > WORTH && !player.getAttribute("src").includes("#t=")) {
    button.textContent = button.dataset.text.replace("{place}", `\u2068${clockOf(before)}\u2069`);
    button.hidden = false;
    button.addEventListener("click", () => {
      player.currentTime = before;
      player.play().catch(() => {});
    });
  }
  player.addEventListener("play", () => (button.hidden = true), { once: true });
  player.addEventListener("timeupdate", () => Date.now() > due && say());
  for (const event of ["pause", "ended"]) player.addEventListener(event, say);
  addEventListener("pagehide", say);

  function say() {
    due = Date.now() + SAY_EVERY;
    const place = player.ended || player.currentTime > player.duration - WORTH ? 0 : player.currentTime;
    if (player.hidden || Math.abs(place - said) < 1) return;
    said = place;
    const body = JSON.stringify({ place });
    const headers = { "Content-Type": "application/json" };
    fetch(box.dataset.placeUrl, { method: "PUT", body, headers, keepalive: true }).catch(() => {});
  }
}
