// Pictures of regions: crops and whole photos with outlines, markers, and the table of who shows which trait.
import { called, drawing, element, shownIn } from "./dom.js";
import { marker } from "./lasso.js";

/** Corners of outlines as the `points` of SVG polygons. */
export const corners = (ring) => ring.map(([x, y]) => `${x},${y}`).join(" ");

/** Outlines that show on any photo: white below, the trait's colour above. */
export function outlines(rings, colour) {
  const below = rings.map((ring) => drawing("polygon", { points: corners(ring), class: "fk-outline-below" }));
  const above = rings.map((ring) => drawing("polygon", { points: corners(ring), class: "fk-outline", stroke: colour }));
  return drawing("g", {}, ...below, ...above);
}

/** The marker of a trait, as the map of regions shows it. */
export function swatch(trait, colour) {
  return drawing("svg", { viewBox: "-8 -8 16 16", class: "fk-swatch", "aria-hidden": "true" },
    drawing("path", { d: marker(trait, 6), fill: colour }));
}

/** A square of a photo with the outlines of a trait. */
export function cropped(crop, colour) {
  const [left, top, right, bottom] = crop.box;
  const [x0, y0, x1, y1] = crop.place;
  return drawing("svg", { viewBox: `${left} ${top} ${right - left} ${bottom - top}`, class: "fk-crop", "aria-hidden": "true" },
    shownIn(drawing("image", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, preserveAspectRatio: "none" }), "href", crop.photo),
    outlines(crop.rings, colour));
}

/** A whole photo with all outlines, in its own pixels; `groups` are the outlines by trait. */
export function whole(photo, colours) {
  const [width, height] = photo.size;
  const groups = new Map();
  for (const region of photo.regions) {
    if (!groups.has(region.trait)) groups.set(region.trait, drawing("g", {}));
    groups.get(region.trait).append(outlines(region.rings, colours[region.trait]));
  }
  const node = drawing("svg", { viewBox: `0 0 ${width} ${height}`, class: "fk-whole", role: "img", "aria-label": called(`Photo ${photo.image} with the outlines of its traits`, photo.gone) },
    shownIn(drawing("image", { width, height, preserveAspectRatio: "none" }), "href", photo.photo), ...groups.values());
  node.style.aspectRatio = `${width} / ${height}`;
  node.style.maxWidth = `calc(78vh * ${width / height})`;
  return { node, groups };
}

/** File name of an image id. */
export const fileOf = (image) => image.split("/").pop();

/** A share as per cent; a dash where it is not known. */
export const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`);

/** Table of the prevalence of traits (rows) in species (columns), shaded. */
export function heatTable({ species, photos, traits, values }, name) {
  const head = species.map((s, c) => element("th", { scope: "col", title: `${name(s)}: ${photos[c]} photos` }, element("span", { text: name(s) })));
  const rows = traits.map((trait, r) => element("tr", {}, element("th", { scope: "row", text: trait, title: trait }),
    ...values[r].map((value) => {
      const cell = element("td", { text: percent(value) });
      cell.style.setProperty("--fk-level", `${Math.round(70 * (value ?? 0))}%`);
      return cell;
    })));
  const count = element("tr", { class: "fk-counts" }, element("th", { scope: "row", text: "photos" }), ...photos.map((n) => element("td", { text: String(n) })));
  return element("table", { class: "fk-matrix" }, element("caption", { class: "fk-unseen", text: "Share of each species' photos that show a trait" }),
    element("thead", {}, element("tr", {}, element("td"), ...head)), element("tbody", {}, ...rows, count));
}
