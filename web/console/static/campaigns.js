// How the campaigns go that are not over: asked for every few seconds, and not while the page is hidden.
const EVERY_MS = 5000;
const section = document.getElementById("campaigns");
const open = () => [...section.querySelectorAll("article[data-open]")];

function outcome([name, count]) {
  const item = document.createElement("li"), number = document.createElement("b");
  number.textContent = count;
  item.append(`${name} `, number);
  return item;
}

function show(card, told) {
  const bar = card.querySelector("progress");
  bar.max = told.numbers;
  bar.value = told.done;
  card.querySelector("[data-facts]").textContent = told.facts;
  card.querySelector(".outcomes").replaceChildren(...told.outcomes.map(outcome));
}

async function refresh() {
  const cards = open();
  if (!document.hidden && cards.length > 0) {
    try {
      const wanted = new URLSearchParams(cards.map((card) => ["name", card.dataset.name]));
      const answer = await fetch(`/console/campaigns/progress?${wanted}`);
      if (answer.status === 401) location.reload(); // the session is over: the form to sign in takes the page's place
      const { campaigns } = answer.ok ? await answer.json() : { campaigns: [] };
      for (const told of campaigns) {
        const card = cards.find((one) => one.dataset.name === told.name);
        show(card, told);
        // another state has other buttons; somebody who is about to cancel is not disturbed
        if (told.state !== card.dataset.state && !section.querySelector("details[open]")) location.reload();
      }
    } catch { /* the server is away: the next try tells */ }
  }
  setTimeout(refresh, EVERY_MS);
}
setTimeout(refresh, EVERY_MS);
