// Helps to say what is to be changed: times come from the player, a part of the picture is drawn over it, and playing
// shows how it will be. Without JavaScript the times are typed, and halves of the picture are chosen.
const ALL = 1000; // thousandths of a side of the picture

for (const place of document.querySelectorAll("[data-editing]")) {
  const player = place.querySelector("video, audio");
  const cover = player.matches("video") ? covered(player) : null;
  preview(player, cover, JSON.parse(place.dataset.editing));
  for (const form of document.querySelectorAll("form[data-edits]")) {
    offer(player, form.elements.start, place.dataset.from);
    offer(player, form.elements.end, place.dataset.to);
    if (cover && form.elements.part) draw(cover, form);
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

// A layer that lies exactly over the picture, wherever in the player it is.
function covered(player) {
  const stage = document.createElement("div");
  const layer = document.createElement("div");
  stage.className = "stage";
  layer.className = "stage-layer";
  player.before(stage);
  stage.append(player, layer);
  const fit = () => {
    const [width, height] = [player.clientWidth, player.clientHeight];
    const scale = Math.min(width / (player.videoWidth || width), height / (player.videoHeight || height));
    const [across, down] = [(player.videoWidth || width) * scale, (player.videoHeight || height) * scale];
    Object.assign(layer.style, {
      left: `${player.offsetLeft + (width - across) / 2}px`,
      top: `${player.offsetTop + (height - down) / 2}px`,
      width: `${across}px`,
      height: `${down}px`,
    });
  };
  new ResizeObserver(fit).observe(player);
  player.addEventListener("loadedmetadata", fit);
  return layer;
}

function box(layer, className, { left, top, width, height }) {
  const made = document.createElement("div");
  made.className = className;
  lay(made, { left, top, width, height });
  layer.append(made);
  return made;
}

function lay(made, area) {
  for (const [side, value] of Object.entries(area)) made.style[side] = `${value / 10}%`;
}

function preview(player, layer, edits) {
  const blurs = layer
    ? edits
        .filter((edit) => edit.kind === "blur")
        .map((edit) => [edit, box(layer, "stage-blur", edit.area || { left: 0, top: 0, width: ALL, height: ALL })])
    : [];
  const show = () => {
    const now = 1000 * player.currentTime;
    const within = (edit) => now >= edit.start && now < edit.end;
    const cut = edits.find((edit) => edit.kind === "cut" && within(edit));
    if (cut && !player.paused) player.currentTime = cut.end / 1000;
    player.muted = edits.some((edit) => edit.kind === "silence" && within(edit));
    for (const [edit, made] of blurs) made.hidden = !within(edit);
  };
  show();
  for (const change of ["timeupdate", "seeked"]) player.addEventListener(change, show);
}

function draw(layer, form) {
  const of = form.querySelector("[data-draw]");
  const part = form.elements.part;
  const drawn = form.elements.drawn;
  const hint = document.createElement("p");
  hint.className = "hint";
  hint.textContent = of.dataset.hint;
  part.add(new Option(of.dataset.draw, "drawn", false, of.dataset.chosen === "drawn"));
  of.append(hint);
  const frame = box(layer, "stage-frame", { left: 0, top: 0, width: 0, height: 0 });
  let from = null;

  const choose = () => {
    const drawing = form.elements.kind.value === "blur" && part.value === "drawn";
    layer.classList.toggle("drawing", drawing);
    hint.hidden = !drawing;
    frame.hidden = !drawing || !drawn.value;
    if (drawn.value) {
      const [left, top, width, height] = drawn.value.split(",").map(Number);
      lay(frame, { left, top, width, height });
    }
  };
  const at = (event) => {
    const sides = layer.getBoundingClientRect();
    const share = (where, start, length) => Math.round(Math.min(1, Math.max(0, (where - start) / length)) * ALL);
    return [share(event.clientX, sides.left, sides.width), share(event.clientY, sides.top, sides.height)];
  };
  const mark = (event) => {
    const [x, y] = at(event);
    const [left, top] = [Math.min(x, from[0]), Math.min(y, from[1])];
    const [width, height] = [Math.abs(x - from[0]), Math.abs(y - from[1])];
    drawn.value = width && height ? [left, top, width, height].join(",") : "";
    choose();
  };
  layer.addEventListener("pointerdown", (event) => {
    from = at(event);
    layer.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  layer.addEventListener("pointermove", (event) => from && mark(event));
  layer.addEventListener("pointerup", (event) => {
    if (from) mark(event);
    from = null;
  });
  layer.addEventListener("pointercancel", () => (from = null));
  form.addEventListener("change", choose);
  choose();
}

function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  const [minutes, rest] = [Math.floor(tenths / 600), tenths % 600];
  const text = `${minutes}:${String(Math.floor(rest / 10)).padStart(2, "0")}`;
  return rest % 10 ? `${text}.${rest % 10}` : text;
}
