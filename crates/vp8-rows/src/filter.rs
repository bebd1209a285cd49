//! The loop filter (RFC 6386, section 15), sixteen samples of an edge at a time.

use crate::header::Strength;
use crate::simd::Simd;

/// Between macroblocks the edge may be this much stronger.
const BETWEEN: u8 = 4;

/// Which edges of a macroblock are filtered beside the left one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edges {
    pub(crate) above: bool,
    pub(crate) inner: bool,
}

/// A macroblock and the rows above it that wait for its filter.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    /// Rows that wait, then the macroblock's.
    pub(crate) luminance: [[u8; 16]; WAITING + 16],
    /// Half as many, and in each the eight samples of blue and the eight of red.
    pub(crate) chrominance: [[u8; 16]; WAITING / 2 + 8],
}

/// Rows of luminance that wait for the macroblocks below, which change three of them; so many that
/// all planes end at one place.
pub(crate) const WAITING: usize = 8;

/// Filters a macroblock, in the order that the format has: all edges that run down before all that
/// run across. The tile to the left is changed too, if it is there.
#[inline(always)]
pub(crate) fn macroblock<S: Simd, const SIMPLE: bool>(
    simd: S,
    mut left: Option<&mut Tile>,
    tile: &mut Tile,
    strength: Strength,
    edges: Edges,
) {
    let inner = Limits::new(simd, strength, 0);
    let outer = Limits::new(simd, strength, BETWEEN);
    let kinds = if SIMPLE { (Kind::Simple, Kind::Simple) } else { (Kind::Outer, Kind::Inner) };
    if edges.inner {
        luminance_across(simd, left.as_deref_mut(), tile, &outer, &inner, kinds);
    } else if let Some(left) = &mut left {
        luminance_left(simd, left, tile, &outer, kinds.0);
    }
    if edges.above {
        down(simd, &mut tile.luminance[WAITING - 4..], &outer, kinds.0);
    }
    if edges.inner {
        for y in [4, 8, 12] {
            down(simd, &mut tile.luminance[WAITING + y - 4..], &inner, kinds.1);
        }
    }
    if SIMPLE {
        return;
    }
    if let Some(left) = &mut left {
        chrominance_left(simd, left, tile, &outer);
    }
    if edges.inner {
        chrominance_across(simd, tile, &inner);
    }
    if edges.above {
        down(simd, &mut tile.chrominance[WAITING / 2 - 4..], &outer, kinds.0);
    }
    if edges.inner {
        down(simd, &mut tile.chrominance[WAITING / 2..], &inner, kinds.1);
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Simple,
    /// Between macroblocks.
    Outer,
    /// Between subblocks.
    Inner,
}

/// The thresholds of an edge, the same for all samples of it.
struct Limits<S: Simd> {
    edge: S::Bytes,
    interior: S::Bytes,
    variance: S::Bytes,
}

impl<S: Simd> Limits<S> {
    #[inline(always)]
    fn new(simd: S, strength: Strength, more: u8) -> Self {
        let all = |value| simd.bytes([value; 16]);
        Self { edge: all(strength.edge + more), interior: all(strength.interior), variance: all(strength.variance) }
    }
}

/// Filters all edges of luminance that run down; the first only if there is something to the left.
#[inline(always)]
fn luminance_across<S: Simd>(
    simd: S,
    left: Option<&mut Tile>,
    tile: &mut Tile,
    outer: &Limits<S>,
    inner: &Limits<S>,
    kinds: (Kind, Kind),
) {
    let none = simd.bytes([0; 16]);
    let mut columns = [none; 16];
    for (column, row) in columns.iter_mut().zip(&tile.luminance[WAITING..]) {
        *column = simd.bytes(*row);
    }
    for _ in 0..4 {
        columns = zip(simd, columns);
    }
    if let Some(left) = left {
        let mut before = [none; 4];
        for (four, rows) in before.iter_mut().zip(left.luminance[WAITING..].as_chunks::<4>().0) {
            let [a, b, c, d] = [0, 1, 2, 3].map(|row| last(&rows[row]));
            *four = simd.bytes(join(a, b, c, d));
        }
        for _ in 0..4 {
            before = zip(simd, before);
        }
        let [p3, p2, p1, p0] = before;
        let [q0, q1, q2, q3, ..] = columns;
        let changed = edge(simd, [p3, p2, p1, p0, q0, q1, q2, q3], outer, kinds.0);
        columns[..4].copy_from_slice(&changed[4..]);
        before.copy_from_slice(&changed[..4]);
        for _ in 0..2 {
            before = zip(simd, before);
        }
        for (four, rows) in before.into_iter().zip(left.luminance[WAITING..].as_chunks_mut::<4>().0) {
            for (row, samples) in rows.iter_mut().zip(split(simd.array(four))) {
                set_last(row, samples);
            }
        }
    }
    for x in [4, 8, 12] {
        if let Some(near) = columns[x - 4..].first_chunk_mut::<8>() {
            *near = edge(simd, *near, inner, kinds.1);
        }
    }
    for _ in 0..4 {
        columns = zip(simd, columns);
    }
    for (column, row) in columns.into_iter().zip(&mut tile.luminance[WAITING..]) {
        *row = simd.array(column);
    }
}

/// Filters the edge between two macroblocks that run down.
#[inline(always)]
fn luminance_left<S: Simd>(simd: S, left: &mut Tile, tile: &mut Tile, outer: &Limits<S>, kind: Kind) {
    let (left, right) = (&mut left.luminance[WAITING..], &mut tile.luminance[WAITING..]);
    let (left, right) = (left.as_chunks_mut::<2>().0, right.as_chunks_mut::<2>().0);
    let mut lines = [simd.bytes([0; 16]); 8];
    for ((two, left), right) in lines.iter_mut().zip(&*left).zip(&*right) {
        *two = simd.bytes(join(last(&left[0]), first(&right[0]), last(&left[1]), first(&right[1])));
    }
    let lines = lines_across(simd, lines, outer, kind);
    for ((two, left), right) in lines.into_iter().zip(left).zip(right) {
        let [a, b, c, d] = split(simd.array(two));
        set_last(&mut left[0], a);
        set_first(&mut right[0], b);
        set_last(&mut left[1], c);
        set_first(&mut right[1], d);
    }
}

/// The same of both chrominances.
#[inline(always)]
fn chrominance_left<S: Simd>(simd: S, left: &mut Tile, tile: &mut Tile, outer: &Limits<S>) {
    let (left, right) = (&mut left.chrominance[WAITING / 2..], &mut tile.chrominance[WAITING / 2..]);
    let mut lines = [simd.bytes([0; 16]); 8];
    for ((two, left), right) in lines.iter_mut().zip(&*left).zip(&*right) {
        let ([_, blue, _, red], [blue_2, _, red_2, _]) = (split(*left), split(*right));
        *two = simd.bytes(join(blue, blue_2, red, red_2));
    }
    let lines = lines_across(simd, lines, outer, Kind::Outer);
    for ((two, left), right) in lines.into_iter().zip(left).zip(right) {
        let [blue, blue_2, red, red_2] = split(simd.array(two));
        let ([a, _, b, _], [_, c, _, d]) = (split(*left), split(*right));
        *left = join(a, blue, b, red);
        *right = join(blue_2, c, red_2, d);
    }
}

/// Filters the inner edge of both chrominances that runs down.
#[inline(always)]
fn chrominance_across<S: Simd>(simd: S, tile: &mut Tile, inner: &Limits<S>) {
    let rows = &mut tile.chrominance[WAITING / 2..];
    let mut lines = [simd.bytes([0; 16]); 8];
    for (two, row) in lines.iter_mut().zip(&*rows) {
        *two = simd.bytes(*row);
    }
    let lines = lines_across(simd, lines, inner, Kind::Inner);
    for (two, row) in lines.into_iter().zip(rows) {
        *row = simd.array(two);
    }
}

/// Filters an edge, given two times eight samples across it in each vector.
#[inline(always)]
fn lines_across<S: Simd>(simd: S, lines: [S::Bytes; 8], limits: &Limits<S>, kind: Kind) -> [S::Bytes; 8] {
    let mut columns = lines;
    for _ in 0..4 {
        columns = zip(simd, columns);
    }
    let mut lines = edge(simd, columns, limits, kind);
    for _ in 0..3 {
        lines = zip(simd, lines);
    }
    lines
}

/// Filters the edge above the fifth row.
#[inline(always)]
fn down<S: Simd>(simd: S, rows: &mut [[u8; 16]], limits: &Limits<S>, kind: Kind) {
    let Some(rows) = rows.first_chunk_mut::<8>() else { return };
    let changed = edge(simd, rows.map(|row| simd.bytes(row)), limits, kind);
    let range = match kind {
        Kind::Simple => 3..5,
        Kind::Outer => 1..7,
        Kind::Inner => 2..6,
    };
    for row in range {
        rows[row] = simd.array(changed[row]);
    }
}

/// One round of turning lines into columns or back. Of the numbers of vectors and lanes in binary,
/// the highest digit of the vector's becomes the lowest of the lane's, and the lane's highest the
/// vector's lowest.
#[inline(always)]
fn zip<S: Simd, const N: usize>(simd: S, before: [S::Bytes; N]) -> [S::Bytes; N] {
    let mut after = before;
    for index in 0..N / 2 {
        let (a, b) = (before[index], before[index + N / 2]);
        after[2 * index] = simd.zip_low(a, b);
        after[2 * index + 1] = simd.zip_high(a, b);
    }
    after
}

/// Four samples each, as numbers.
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

/// Filters sixteen samples of an edge, by four rows before and four after it.
#[inline(always)]
fn edge<S: Simd>(simd: S, rows: [S::Bytes; 8], limits: &Limits<S>, kind: Kind) -> [S::Bytes; 8] {
    let [p3, p2, p1, p0, q0, q1, q2, q3] = rows;
    let difference = |a, b| simd.difference(a, b);
    // Whether there is an edge that is not the picture's own.
    let across = simd.sum(simd.twice(difference(p0, q0)), simd.half(difference(p1, q1)));
    let mut wanted = simd.at_most(across, limits.edge);
    let all = |value: i8| simd.bytes([value as u8; 16]);
    let [p2s, p1s, p0s, q0s, q1s, q2s] = [p2, p1, p0, q0, q1, q2].map(|samples| simd.shift_sign(samples));
    let step = simd.subtract(q0s, p0s);
    let outer_taps = simd.subtract(p1s, q1s);
    let thrice = |start| simd.add(simd.add(simd.add(start, step), step), step);
    // A change of the two samples at the edge.
    let change = |by| {
        let (above, below) = (simd.eighth(simd.add(by, all(4))), simd.eighth(simd.add(by, all(3))));
        (simd.add(p0s, below), simd.subtract(q0s, above), above)
    };
    if let Kind::Simple = kind {
        let (p0s, q0s, _) = change(simd.and(thrice(outer_taps), wanted));
        return [p3, p2, p1, simd.shift_sign(p0s), simd.shift_sign(q0s), q1, q2, q3];
    }
    let next = simd.larger(difference(p1, p0), difference(q1, q0));
    let far = simd.larger(
        simd.larger(difference(p3, p2), difference(p2, p1)),
        simd.larger(difference(q3, q2), difference(q2, q1)),
    );
    wanted = simd.and(wanted, simd.at_most(simd.larger(next, far), limits.interior));
    let even = simd.at_most(next, limits.variance);
    if let Kind::Inner = kind {
        let by = simd.and(thrice(simd.without(outer_taps, even)), wanted);
        let (p0s, q0s, above) = change(by);
        let beside = simd.and(simd.half_up(above), even);
        let out = [simd.add(p1s, beside), p0s, q0s, simd.subtract(q1s, beside)];
        let [p1, p0, q0, q1] = out.map(|samples| simd.shift_sign(samples));
        return [p3, p2, p1, p0, q0, q1, q2, q3];
    }
    let by = simd.and(thrice(outer_taps), wanted);
    // Where there is much variance, as above; else wide. One of the two is zero everywhere.
    let (p0s, q0s, _) = change(simd.without(by, even));
    let [ninth, eighteenth, widest] = simd.weighed(simd.and(by, even));
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
