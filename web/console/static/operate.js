// The commands of the live page: each form is sent as JSON under an id of its own, and what became of it is told.
const section = document.getElementById("operate");
const words = JSON.parse(section.dataset.words);
const answer = document.getElementById("command-answer");
const tell = (command, text) => { answer.textContent = `${words[command]}: ${text}`; };

async function send(command, fields) {
  const response = await fetch(`${section.dataset.base}/${command}`, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-CSRF-Token": section.dataset.csrf,
      "Idempotency-Key": crypto.randomUUID(),
    },
    body: JSON.stringify(fields),
  });
  const told = await response.json();
  const problems = (told.problems ?? []).map((one) => `${one.field} ${one.problem}. ${one.fix}`);
  return [words[told.outcome] ?? told.error, ...problems, told.why || ""].filter((text) => text).join(" — ");
}

for (const form of section.querySelectorAll("form")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const command = form.dataset.command;
    const fields = Object.fromEntries([...new FormData(form)].filter(([, text]) => text !== ""));
    const button = form.querySelector("button");
    button.disabled = true;
    tell(command, words.asking);
    try {
      tell(command, await send(command, fields));
      if (form.querySelector("input[name=text]")) form.reset();
    } catch {
      tell(command, words.lost);
    } finally {
      button.disabled = false;
    }
  });
}
