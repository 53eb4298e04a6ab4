// On a phone the sections are a row to be pushed sideways: the one that is open stands where it is seen.
const row = document.querySelector(".sections ul");
const open = row?.querySelector("[aria-current]");

if (open) {
  const [around, own] = [row.getBoundingClientRect(), open.getBoundingClientRect()];
  row.scrollLeft += own.left + own.width / 2 - around.left - around.width / 2;
}
