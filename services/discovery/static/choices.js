// Lets people be chosen by name where, without JavaScript, their ids are written. Their holder gives names and ids.
async function offer(field) {
  const answer = await fetch(field.dataset.choices, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const { choices: _, choicesId: id, choicesText: text, choicesRole: role, choicesMany: many } = field.dataset;
  const input = field.querySelector("input");
  const chosen = new Set(input.value.split(/[\s,،]+/).filter(Boolean));
  const items = (await answer.json()).items.filter(
    (item) => chosen.has(item[id]) || (item.active !== false && (!role || item.roles.includes(role))),
  );
  if (!items.length) return;
  const group = document.createElement("fieldset");
  group.className = "group";
  const legend = document.createElement("legend");
  legend.textContent = field.querySelector("label").firstChild.textContent.trim();
  group.append(legend);
  for (const item of items) {
    const row = document.createElement("div");
    row.className = "check";
    const box = document.createElement("input");
    box.type = many === undefined ? "radio" : "checkbox";
    box.name = input.name;
    box.value = item[id];
    box.id = `${input.name}-${item[id]}`;
    box.checked = chosen.has(item[id]);
    const label = document.createElement("label");
    label.htmlFor = box.id;
    label.textContent = item[text] || item[id];
    row.append(box, label);
    group.append(row);
  }
  field.replaceWith(group);
}

for (const field of document.querySelectorAll("[data-choices]")) offer(field).catch(() => {});
