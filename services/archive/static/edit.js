// Helps to say what is to be changed: times come from the player, and playing shows how it will be.
// Without JavaScript the times are typed.
for (const place of document.querySelectorAll("[data-editing]")) {
  const player = place.querySelector("video, audio");
  preview(player, JSON.parse(place.dataset.editing));
  for (const form of document.querySelectorAll("form[data-edits]")) {
    offer(player, form.elements.start, place.dataset.from);
    offer(player, form.elements.end, place.dataset.to);
  }
}

function offer(player, field, text) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button secondary here";
  button.textContent = text;
  button.addEventListener("click", () => {
    field.value = clock(player.currentTime);
  });
  field.after(button);
}

function preview(player, edits) {
  player.addEventListener("timeupdate", () => {
    const now = 1000 * player.currentTime;
    const within = (kind) => edits.find((edit) => edit.kind === kind && now >= edit.start && now < edit.end);
    const cut = within("cut");
    if (cut && !player.paused) player.currentTime = cut.end / 1000;
    player.muted = Boolean(within("silence"));
  });
}

function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  const [minutes, rest] = [Math.floor(tenths / 600), tenths % 600];
  const text = `${minutes}:${String(Math.floor(rest / 10)).padStart(2, "0")}`;
  return rest % 10 ? `${text}.${rest % 10}` : text;
}
