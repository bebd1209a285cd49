/** Mends what Swagger UI's markup lacks for screen readers and the keyboard; what axe finds without it is beside each rule. */
const RULES: [selector: string, mend: (element: Element) => void][] = [
  // heading-order: the title is of level 1, tags are of level 3.
  ["h3.opblock-tag", (heading) => heading.setAttribute("aria-level", "2")],
  [".models h4", (heading) => heading.setAttribute("aria-level", "2")],
  [".opblock h4", (heading) => heading.setAttribute("aria-level", "3")],
  [".opblock h5", (heading) => heading.setAttribute("aria-level", "4")],
  // region: what stands before the part with the operations.
  [".information-container", (part) => region(part, "About the API")],
  [".schemes-server-container", (part) => region(part, "Server and authorization")],
  // landmark-unique: a table that is a region has neither a name nor its rows.
  ["table[role='region']", (table) => table.removeAttribute("role")],
  // nested-interactive: the button around the link does what the link would.
  [".opblock-summary-control a[href]", (link) => link.removeAttribute("href")],
  // select-name
  ["#servers:not([aria-label])", (select) => select.setAttribute("aria-label", "Server")],
  [".examples-select-element:not([aria-label])", (select) => select.setAttribute("aria-label", "Example")],
  // scrollable-region-focusable
  ["pre.microlight:not([tabindex])", (block) => block.setAttribute("tabindex", "0")],
];

function region(element: Element, label: string): void {
  element.setAttribute("role", "region");
  element.setAttribute("aria-label", label);
}

export function mendMarkup(root: Element): void {
  const mend = (): void => {
    for (const [selector, change] of RULES) root.querySelectorAll(selector).forEach(change);
  };
  // Attributes are not observed: what this sets, Swagger UI leaves.
  new MutationObserver(mend).observe(root, { subtree: true, childList: true });
  mend();
}
