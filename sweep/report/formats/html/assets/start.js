// Brings the page to life: what works without scripts is there already.

receive(JSON.parse($("data").textContent));
document.documentElement.classList.add("scripted");
if ($("trials")) {
  choiceListeners.push(showCurves, showParallel);
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("curve-chart").addEventListener("keydown", moveInCurves);
  showFilters();
  showTrials();
  showChoice();
  store.listeners.push(() => {
    if (!$("filters").contains(document.activeElement)) showFilters();
    showTrials();
  });
}
if (store.head.live) follow();
