// Fills lists of people from their holder with the viewer's own session; without it an id is typed by hand.
for (const list of document.querySelectorAll("datalist[data-people]")) {
  fetch(list.dataset.people, { headers: { Accept: "application/json" } })
    .then((answer) => (answer.ok ? answer.json() : { items: [] }))
    .then(({ items }) => list.append(...items.map(({ person_id, label }) => new Option(label, person_id))))
    .catch(() => {});
}
