// Asks the server for what the run has recorded since; only on a page that `aesweep view` serves.

const POLL_MS = 1500;
const STATES = { completed: "Completed", interrupted: "Interrupted", failed: "Ended, with something missing" };

function showLive(text) {
  const place = $("live");
  if (place.textContent !== text) place.textContent = text;
}

function follow() {
  const made = store.head.seq; // the tables and figures show the run up to this event
  const reload = button("Show tables and figures as of now", () => location.reload());
  reload.hidden = true;
  $("live").after(reload);

  async function ask() {
    try {
      const answer = await fetch(`updates?after=${store.head.seq}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const values = await answer.json();
      if (values.seq !== store.head.seq) receive(values);
      const time = store.head.time ? new Date(1000 * store.head.time).toLocaleTimeString() : "–";
      reload.hidden = store.head.seq === made;
      const lack = `Trials and curves are up to date; tables and figures lack ${plural(store.head.seq - made, "event")}.`;
      const state = STATES[store.head.status] || "Not ended yet";
      showLive(`${state}; last event ${time}.${reload.hidden ? "" : ` ${lack}`}`);
    } catch (error) {
      showLive("No answer from aesweep view: what is shown may be out of date.");
    }
    setTimeout(ask, POLL_MS);
  }
  ask();
}
