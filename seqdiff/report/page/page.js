// The page is whole without this: it adds the switch of the theme, sorting, fades what goes on beyond the right edge of
// its box, and opens what is folded for printing.
(() => {
  "use strict";
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const night = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme || (night.matches ? "dark" : "light")) === "dark";
  const label = () => { button.textContent = dark() ? "Light theme" : "Dark theme"; };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
  night.addEventListener("change", label);
  label();
  button.hidden = false;

  const value = (row, column) => row.cells[column].textContent.trim();
  // A number alone, with its error, per cent or unit of a word; "20:1,234" and "A24G" are names with numbers in them.
  const plain = (text) => text.replaceAll(",", "").replaceAll("−", "-");
  const number = (text) => (/^[-+]?[\d.]+(e[-+]?\d+)?( ?%| ± .*)?$/i.test(text) ? parseFloat(text) : NaN);
  const names = new Intl.Collator("en", { numeric: true });
  const compare = (one, other) => {
    if (!one || !other) return !one - !other;
    const [a, b] = [number(one), number(other)];
    if (Number.isNaN(a) !== Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
    return Number.isNaN(a) ? names.compare(one, other) : a - b;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const sort = document.createElement("button");
      sort.type = "button";
      sort.append(...head.childNodes);
      head.append(sort);
      sort.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].sort((a, b) => compare(plain(value(a, column)), plain(value(b, column))));
        body.append(...(down ? rows.reverse() : rows));
      });
    });
  }

  const fade = (box) => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  const boxes = new ResizeObserver((seen) => seen.forEach(({ target }) => fade(target)));
  for (const box of document.querySelectorAll(".scroll")) {
    boxes.observe(box);
    box.addEventListener("scroll", () => fade(box), { passive: true });
  }

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((one) => { one.open = false; }));
})();
