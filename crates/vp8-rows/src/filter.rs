//! The loop filter (RFC 6386, section 15), 16 samples of an edge at a time.

use crate::header::LoopFilterParams;
use crate::simd::Simd;

/// Added to the edge limit of macroblock edges (sections 15.2 and 15.3).
const MBEDGE_EXTRA: u8 = 4;

/// Edges of a macroblock that are filtered in addition to the left one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edges {
    pub(crate) above: bool,
    pub(crate) inner: bool,
}

/// A macroblock, and the rows above it that its filter may change.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// Delayed rows, then those of the macroblock.
    pub(crate) y: [[u8; 16]; FILTER_DELAY + 16],
    /// Half as many rows, each of eight U samples and eight V samples.
    pub(crate) uv: [[u8; 16]; FILTER_DELAY / 2 + 8],
}

/// Rows of Y that are delayed because the filter of the macroblocks below changes three of them. With 8,
/// 4 rows of U and V are delayed, and all planes end at the same row.
pub(crate) const FILTER_DELAY: usize = 8;

/// Filters a macroblock in the order of section 15.1: vertical edges before horizontal ones. Changes the
/// tile to the left too.
#[inline(always)]
pub(crate) fn macroblock<S: Simd, const SIMPLE: bool>(
    simd: S,
    mut left: Option<&mut Tile>,
    tile: &mut Tile,
    params: LoopFilterParams,
    edges: Edges,
) {
    let inner = Thresholds::new(simd, params, 0);
    let outer = Thresholds::new(simd, params, MBEDGE_EXTRA);
    let kinds =
        if SIMPLE { (FilterKind::Simple, FilterKind::Simple) } else { (FilterKind::Macroblock, FilterKind::Subblock) };
    if edges.inner {
        filter_y_vertical_edges(simd, left.as_deref_mut(), tile, &outer, &inner, kinds);
    } else if let Some(left) = &mut left {
        filter_y_left_edge(simd, left, tile, &outer, kinds.0);
    }
    if edges.above {
        filter_horizontal_edge(simd, &mut tile.y[FILTER_DELAY - 4..], &outer, kinds.0);
    }
    if edges.inner {
        for y in [4, 8, 12] {
            filter_horizontal_edge(simd, &mut tile.y[FILTER_DELAY + y - 4..], &inner, kinds.1);
        }
    }
    if SIMPLE {
        return;
    }
    if let Some(left) = &mut left {
        filter_uv_left_edge(simd, left, tile, &outer);
    }
    if edges.inner {
        filter_uv_inner_vertical_edge(simd, tile, &inner);
    }
    if edges.above {
        filter_horizontal_edge(simd, &mut tile.uv[FILTER_DELAY / 2 - 4..], &outer, kinds.0);
    }
    if edges.inner {
        filter_horizontal_edge(simd, &mut tile.uv[FILTER_DELAY / 2..], &inner, kinds.1);
    }
}

#[derive(Clone, Copy)]
enum FilterKind {
    Simple,
    /// Macroblock edges of the normal filter (section 15.3).
    Macroblock,
    /// Subblock edges of the normal filter (section 15.3).
    Subblock,
}

/// The parameters of an edge, in every lane.
struct Thresholds<S: Simd> {
    edge_limit: S::Bytes,
    interior_limit: S::Bytes,
    hev_threshold: S::Bytes,
}

impl<S: Simd> Thresholds<S> {
    #[inline(always)]
    fn new(simd: S, params: LoopFilterParams, more: u8) -> Self {
        let all = |value| simd.bytes([value; 16]);
        Self {
            edge_limit: all(params.edge_limit + more),
            interior_limit: all(params.interior_limit),
            hev_threshold: all(params.hev_threshold),
        }
    }
}

/// Filters the vertical edges of Y; the first only if there is a tile to the left.
#[inline(always)]
fn filter_y_vertical_edges<S: Simd>(
    simd: S,
    left: Option<&mut Tile>,
    tile: &mut Tile,
    outer: &Thresholds<S>,
    inner: &Thresholds<S>,
    kinds: (FilterKind, FilterKind),
) {
    let none = simd.bytes([0; 16]);
    let mut columns = [none; 16];
    for (column, row) in columns.iter_mut().zip(&tile.y[FILTER_DELAY..]) {
        *column = simd.bytes(*row);
    }
    for _ in 0..4 {
        columns = interleave(simd, columns);
    }
    if let Some(left) = left {
        let mut before = [none; 4];
        for (four, rows) in before.iter_mut().zip(left.y[FILTER_DELAY..].as_chunks::<4>().0) {
            let [a, b, c, d] = [0, 1, 2, 3].map(|row| last(&rows[row]));
            *four = simd.bytes(join(a, b, c, d));
        }
        for _ in 0..4 {
            before = interleave(simd, before);
        }
        let [p3, p2, p1, p0] = before;
        let [q0, q1, q2, q3, ..] = columns;
        let changed = filter_edge(simd, [p3, p2, p1, p0, q0, q1, q2, q3], outer, kinds.0);
        columns[..4].copy_from_slice(&changed[4..]);
        before.copy_from_slice(&changed[..4]);
        for _ in 0..2 {
            before = interleave(simd, before);
        }
        for (four, rows) in before.into_iter().zip(left.y[FILTER_DELAY..].as_chunks_mut::<4>().0) {
            for (row, samples) in rows.iter_mut().zip(split(simd.array(four))) {
                set_last(row, samples);
            }
        }
    }
    for x in [4, 8, 12] {
        if let Some(near) = columns[x - 4..].first_chunk_mut::<8>() {
            *near = filter_edge(simd, *near, inner, kinds.1);
        }
    }
    for _ in 0..4 {
        columns = interleave(simd, columns);
    }
    for (column, row) in columns.into_iter().zip(&mut tile.y[FILTER_DELAY..]) {
        *row = simd.array(column);
    }
}

/// Filters the vertical edge of Y between two macroblocks.
#[inline(always)]
fn filter_y_left_edge<S: Simd>(simd: S, left: &mut Tile, tile: &mut Tile, outer: &Thresholds<S>, kind: FilterKind) {
    let (left, right) = (&mut left.y[FILTER_DELAY..], &mut tile.y[FILTER_DELAY..]);
    let (left, right) = (left.as_chunks_mut::<2>().0, right.as_chunks_mut::<2>().0);
    let mut lines = [simd.bytes([0; 16]); 8];
    for ((two, left), right) in lines.iter_mut().zip(&*left).zip(&*right) {
        *two = simd.bytes(join(last(&left[0]), first(&right[0]), last(&left[1]), first(&right[1])));
    }
    let lines = filter_vertical_edge(simd, lines, outer, kind);
    for ((two, left), right) in lines.into_iter().zip(left).zip(right) {
        let [a, b, c, d] = split(simd.array(two));
        set_last(&mut left[0], a);
        set_first(&mut right[0], b);
        set_last(&mut left[1], c);
        set_first(&mut right[1], d);
    }
}

/// Filters the vertical edge of U and V between two macroblocks.
#[inline(always)]
fn filter_uv_left_edge<S: Simd>(simd: S, left: &mut Tile, tile: &mut Tile, outer: &Thresholds<S>) {
    let (left, right) = (&mut left.uv[FILTER_DELAY / 2..], &mut tile.uv[FILTER_DELAY / 2..]);
    let mut lines = [simd.bytes([0; 16]); 8];
    for ((two, left), right) in lines.iter_mut().zip(&*left).zip(&*right) {
        let ([_, u, _, v], [u_2, _, v_2, _]) = (split(*left), split(*right));
        *two = simd.bytes(join(u, u_2, v, v_2));
    }
    let lines = filter_vertical_edge(simd, lines, outer, FilterKind::Macroblock);
    for ((two, left), right) in lines.into_iter().zip(left).zip(right) {
        let [u, u_2, v, v_2] = split(simd.array(two));
        let ([a, _, b, _], [_, c, _, d]) = (split(*left), split(*right));
        *left = join(a, u, b, v);
        *right = join(u_2, c, v_2, d);
    }
}

/// Filters the inner vertical edge of U and V.
#[inline(always)]
fn filter_uv_inner_vertical_edge<S: Simd>(simd: S, tile: &mut Tile, inner: &Thresholds<S>) {
    let rows = &mut tile.uv[FILTER_DELAY / 2..];
    let mut lines = [simd.bytes([0; 16]); 8];
    for (two, row) in lines.iter_mut().zip(&*rows) {
        *two = simd.bytes(*row);
    }
    let lines = filter_vertical_edge(simd, lines, inner, FilterKind::Subblock);
    for (two, row) in lines.into_iter().zip(rows) {
        *row = simd.array(two);
    }
}

/// Filters a vertical edge; each vector holds the eight samples across it of two rows.
#[inline(always)]
fn filter_vertical_edge<S: Simd>(
    simd: S,
    lines: [S::Bytes; 8],
    thresholds: &Thresholds<S>,
    kind: FilterKind,
) -> [S::Bytes; 8] {
    let mut columns = lines;
    for _ in 0..4 {
        columns = interleave(simd, columns);
    }
    let mut lines = filter_edge(simd, columns, thresholds, kind);
    for _ in 0..3 {
        lines = interleave(simd, lines);
    }
    lines
}

/// Filters the horizontal edge above the fifth row.
#[inline(always)]
fn filter_horizontal_edge<S: Simd>(simd: S, rows: &mut [[u8; 16]], thresholds: &Thresholds<S>, kind: FilterKind) {
    let Some(rows) = rows.first_chunk_mut::<8>() else { return };
    let changed = filter_edge(simd, rows.map(|row| simd.bytes(row)), thresholds, kind);
    let range = match kind {
        FilterKind::Simple => 3..5,
        FilterKind::Macroblock => 1..7,
        FilterKind::Subblock => 2..6,
    };
    for row in range {
        rows[row] = simd.array(changed[row]);
    }
}

/// One step of a transposition: interleaves the first half of the vectors with the second. In binary,
/// the highest digit of the vector index becomes the lowest of the lane index, and the highest digit of
/// the lane index becomes the lowest of the vector index.
#[inline(always)]
fn interleave<S: Simd, const N: usize>(simd: S, before: [S::Bytes; N]) -> [S::Bytes; N] {
    let mut after = before;
    for index in 0..N / 2 {
        let (a, b) = (before[index], before[index + N / 2]);
        after[2 * index] = simd.interleave_low(a, b);
        after[2 * index + 1] = simd.interleave_high(a, b);
    }
    after
}

/// Joins four groups of four samples.
#[inline(always)]
fn join(a: u32, b: u32, c: u32, d: u32) -> [u8; 16] {
    let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    (u128::from(pair(a, b)) | u128::from(pair(c, d)) << 64).to_le_bytes()
}

#[inline(always)]
fn split(samples: [u8; 16]) -> [u32; 4] {
    let all = u128::from_le_bytes(samples);
    [all as u32, (all >> 32) as u32, (all >> 64) as u32, (all >> 96) as u32]
}

#[inline(always)]
fn first(row: &[u8; 16]) -> u32 {
    let [a, b, c, d, ..] = *row;
    u32::from_le_bytes([a, b, c, d])
}

#[inline(always)]
fn last(row: &[u8; 16]) -> u32 {
    let [.., a, b, c, d] = *row;
    u32::from_le_bytes([a, b, c, d])
}

#[inline(always)]
fn set_first(row: &mut [u8; 16], samples: u32) {
    row[..4].copy_from_slice(&samples.to_le_bytes());
}

#[inline(always)]
fn set_last(row: &mut [u8; 16], samples: u32) {
    row[12..].copy_from_slice(&samples.to_le_bytes());
}

/// Filters 16 samples of an edge, given four rows on each side.
#[inline(always)]
fn filter_edge<S: Simd>(simd: S, rows: [S::Bytes; 8], thresholds: &Thresholds<S>, kind: FilterKind) -> [S::Bytes; 8] {
    let [p3, p2, p1, p0, q0, q1, q2, q3] = rows;
    let difference = |a, b| simd.abs_diff(a, b);
    // simple_segment's test (section 15.2).
    let across = simd.add_samples(simd.double(difference(p0, q0)), simd.half(difference(p1, q1)));
    let mut mask = simd.le_mask(across, thresholds.edge_limit);
    let all = |value: i8| simd.bytes([value as u8; 16]);
    let [p2s, p1s, p0s, q0s, q1s, q2s] = [p2, p1, p0, q0, q1, q2].map(|samples| simd.shift_sign(samples));
    let step = simd.subtract(q0s, p0s);
    let outer_taps = simd.subtract(p1s, q1s);
    let thrice = |start| simd.add(simd.add(simd.add(start, step), step), step);
    // common_adjust (section 15.2).
    let change = |by| {
        let (above, below) = (simd.shift_right_3(simd.add(by, all(4))), simd.shift_right_3(simd.add(by, all(3))));
        (simd.add(p0s, below), simd.subtract(q0s, above), above)
    };
    if let FilterKind::Simple = kind {
        let (p0s, q0s, _) = change(simd.and(thrice(outer_taps), mask));
        return [p3, p2, p1, simd.shift_sign(p0s), simd.shift_sign(q0s), q1, q2, q3];
    }
    let next = simd.max(difference(p1, p0), difference(q1, q0));
    let far =
        simd.max(simd.max(difference(p3, p2), difference(p2, p1)), simd.max(difference(q3, q2), difference(q2, q1)));
    mask = simd.and(mask, simd.le_mask(simd.max(next, far), thresholds.interior_limit));
    let not_hev = simd.le_mask(next, thresholds.hev_threshold);
    if let FilterKind::Subblock = kind {
        let by = simd.and(thrice(simd.and_not(outer_taps, not_hev)), mask);
        let (p0s, q0s, above) = change(by);
        let beside = simd.and(simd.round_half(above), not_hev);
        let out = [simd.add(p1s, beside), p0s, q0s, simd.subtract(q1s, beside)];
        let [p1, p0, q0, q1] = out.map(|samples| simd.shift_sign(samples));
        return [p3, p2, p1, p0, q0, q1, q2, q3];
    }
    let by = simd.and(thrice(outer_taps), mask);
    // With high edge variance as above, otherwise the wide filter: in each lane one of the two is zero.
    let (p0s, q0s, _) = change(simd.and_not(by, not_hev));
    let [ninth, eighteenth, widest] = simd.scaled_by_9_18_27(simd.and(by, not_hev));
    let out = [
        simd.add(p2s, ninth),
        simd.add(p1s, eighteenth),
        simd.add(p0s, widest),
        simd.subtract(q0s, widest),
        simd.subtract(q1s, eighteenth),
        simd.subtract(q2s, ninth),
    ];
    let [p2, p1, p0, q0, q1, q2] = out.map(|samples| simd.shift_sign(samples));
    [p3, p2, p1, p0, q0, q1, q2, q3]
}
