// How many alerts are open stands on every page, and is asked for every 20 seconds: where no answer comes, a question
// mark stands beside the number until one does.
{
  function doubt(count) {
    if (count.querySelector(".doubt")) return;
    const mark = document.createElement("span");
    mark.className = "doubt";
    mark.title = "The server is not heard: this may be old.";
    mark.append("?");
    const said = document.createElement("span");
    said.className = "unseen";
    said.textContent = " This may be old: the server is not heard.";
    mark.append(said);
    count.append(mark);
  }

  document.addEventListener("htmx:afterRequest", (event) => {
    const count = event.detail.requestConfig.elt;
    if (count.matches(".count") && !event.detail.successful) doubt(count);
  });
  window.addEventListener("offline", () => document.querySelectorAll(".count").forEach(doubt));
  window.addEventListener("online", () => document.querySelectorAll(".count").forEach((count) => htmx.trigger(count, "again")));
}
