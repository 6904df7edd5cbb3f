// Paint a map of cells as coloured pixels, to lay over its photo.

/**
 * Paint a map over a photo of `width` x `height` output pixels.
 *
 * `map` is (rows, columns), flat, in logits; `top` the value at full colour; `table` 256 x 4 bytes of colour, its middle
 * at zero with `signed`; `place` says where the grid lies in output pixels: {left, top, cellWidth, cellHeight}.
 * Values are interpolated between cell centres (`smooth`), not colours, so that the legend stays true. Returns RGBA bytes.
 */
export function paint(map, rows, columns, { width, height, place, table, top, signed, smooth, opacity }, out) {
  out ??= new Uint8ClampedArray(4 * width * height);
  const across = samples(width, place.left, place.cellWidth, columns, smooth);
  const down = samples(height, place.top, place.cellHeight, rows, smooth);
  const gain = top > 0 ? (signed ? 127.5 : 255) / top : 0;
  const zero = signed ? 127.5 : 0;
  for (let j = 0, o = 0; j < height; j++) {
    const inside = down.inside[j];
    const upper = down.first[j] * columns;
    const lower = down.second[j] * columns;
    const b = down.part[j];
    for (let i = 0; i < width; i++, o += 4) {
      if (!inside || !across.inside[i]) {
        out[o + 3] = 0;
        continue;
      }
      const l = across.first[i];
      const r = across.second[i];
      const a = across.part[i];
      const one = map[upper + l] * (1 - a) + map[upper + r] * a;
      const two = map[lower + l] * (1 - a) + map[lower + r] * a;
      const value = one * (1 - b) + two * b;
      let level = zero + value * gain + 0.5;
      level = level >= 255 ? 255 : level > 0 ? level | 0 : 0; // NaN falls to 0: with `signed` the next line hides it
      const t = 4 * level;
      out[o] = table[t];
      out[o + 1] = table[t + 1];
      out[o + 2] = table[t + 2];
      out[o + 3] = value === value ? table[t + 3] * opacity : 0;
    }
  }
  return out;
}

/** For each output pixel along one axis: the two nearest cells, how far between them, and whether it is on the grid. */
function samples(length, start, step, cells, smooth) {
  const first = new Int32Array(length);
  const second = new Int32Array(length);
  const part = new Float32Array(length);
  const inside = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const at = (i + 0.5 - start) / step; // in cells from the grid's edge
    inside[i] = at >= 0 && at <= cells ? 1 : 0;
    if (smooth) {
      const centred = Math.min(Math.max(at - 0.5, 0), cells - 1);
      first[i] = Math.floor(centred);
      second[i] = Math.min(first[i] + 1, cells - 1);
      part[i] = centred - first[i];
    } else {
      first[i] = second[i] = Math.min(Math.max(Math.floor(at), 0), cells - 1);
    }
  }
  return { first, second, part, inside };
}
