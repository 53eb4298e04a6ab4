// Guesses the visitor's time zone from the device, and offers it; the list stays for who is somewhere else.
const offer = document.querySelector("[data-zone-guess]");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

if (offer && zone) {
  const list = document.getElementById(offer.dataset.zoneGuess);
  const known = [...list.options].find((option) => option.value === zone);
  offer.querySelector("[name=zone]").value = zone;
  offer.querySelector("[data-zone-name]").textContent = known
    ? known.textContent
    : zone.split("/").pop().replaceAll("_", " ");
  offer.hidden = false;
}
