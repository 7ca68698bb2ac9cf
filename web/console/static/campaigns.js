// How the campaigns go that are not over: asked for every few seconds.
import { renew } from "./renew.js";

const section = document.getElementById("campaigns");

function address() {
  const names = [...section.querySelectorAll("article[data-open]")].map((card) => ["name", card.dataset.name]);
  return names.length ? `/console/campaigns?${new URLSearchParams(names)}` : null;
}

renew(address, 5000, (told) => {
  for (const fresh of told.querySelectorAll("article")) {
    const card = section.querySelector(`article[data-name="${CSS.escape(fresh.dataset.name)}"]`);
    // another state has other buttons; an operator in the middle of canceling keeps theirs
    if (fresh.dataset.state !== card.dataset.state && !section.querySelector("details[open]")) location.reload();
    card.querySelector("[data-progress]").replaceWith(fresh.querySelector("[data-progress]"));
  }
});
