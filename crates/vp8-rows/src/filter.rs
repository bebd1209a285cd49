//! The loop filter (RFC 6386, section 15), sixteen samples of an edge at a time.

use crate::header::Strength;
use crate::simd::Simd;

/// Between macroblocks the edge may be this much stronger.
const BETWEEN: u8 = 4;

/// Which edges of a macroblock are filtered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edges {
    pub(crate) left: bool,
    pub(crate) above: bool,
    pub(crate) inner: bool,
}

/// Sixteen samples along an edge, or all that is needed across it.
pub(crate) trait Area {
    /// Rows and columns of a macroblock.
    const SIZE: usize;
    /// The samples of a row, relative to the macroblock.
    fn row(&self, y: isize) -> [u8; 16];
    fn set_row(&mut self, y: isize, samples: [u8; 16]);
    /// Eight columns, the fifth of which is `x`, of one of sixteen lines that cross an edge.
    fn line(&self, line: usize, x: usize) -> [u8; 8];
    fn set_line(&mut self, line: usize, x: usize, samples: [u8; 8]);
}

/// A plane with a macroblock that begins at `at`.
pub(crate) struct Place<'a> {
    pub(crate) samples: &'a mut [u8],
    pub(crate) at: usize,
    pub(crate) stride: usize,
}

impl Place<'_> {
    #[inline(always)]
    fn read<const N: usize>(&self, at: usize) -> [u8; N] {
        self.samples[at..].first_chunk().copied().unwrap_or([0; N])
    }

    #[inline(always)]
    fn write<const N: usize>(&mut self, at: usize, samples: [u8; N]) {
        if let Some(place) = self.samples[at..].first_chunk_mut() {
            *place = samples;
        }
    }

    #[inline(always)]
    fn start(&self, y: isize) -> usize {
        self.at.wrapping_add_signed(y * self.stride as isize)
    }
}

impl Area for Place<'_> {
    const SIZE: usize = 16;

    #[inline(always)]
    fn row(&self, y: isize) -> [u8; 16] {
        self.read(self.start(y))
    }

    #[inline(always)]
    fn set_row(&mut self, y: isize, samples: [u8; 16]) {
        self.write(self.start(y), samples);
    }

    #[inline(always)]
    fn line(&self, line: usize, x: usize) -> [u8; 8] {
        self.read(self.at + line * self.stride + x - 4)
    }

    #[inline(always)]
    fn set_line(&mut self, line: usize, x: usize, samples: [u8; 8]) {
        self.write(self.at + line * self.stride + x - 4, samples);
    }
}

/// The two chrominances side by side: eight samples of each.
pub(crate) struct Pair<'a>(pub(crate) Place<'a>, pub(crate) Place<'a>);

impl Area for Pair<'_> {
    const SIZE: usize = 8;

    #[inline(always)]
    fn row(&self, y: isize) -> [u8; 16] {
        let halves = [self.0.read(self.0.start(y)), self.1.read(self.1.start(y))].map(u64::from_le_bytes);
        (u128::from(halves[0]) | u128::from(halves[1]) << 64).to_le_bytes()
    }

    #[inline(always)]
    fn set_row(&mut self, y: isize, samples: [u8; 16]) {
        let both = u128::from_le_bytes(samples);
        self.0.write(self.0.start(y), (both as u64).to_le_bytes());
        self.1.write(self.1.start(y), ((both >> 64) as u64).to_le_bytes());
    }

    #[inline(always)]
    fn line(&self, line: usize, x: usize) -> [u8; 8] {
        if line < 8 { self.0.line(line, x) } else { self.1.line(line - 8, x) }
    }

    #[inline(always)]
    fn set_line(&mut self, line: usize, x: usize, samples: [u8; 8]) {
        if line < 8 { self.0.set_line(line, x, samples) } else { self.1.set_line(line - 8, x, samples) }
    }
}

/// Filters the edges of a macroblock in the order that the format has: all that run down before
/// all that run across.
#[inline(always)]
pub(crate) fn macroblock<S: Simd, A: Area>(simd: S, area: &mut A, strength: Strength, edges: Edges, simple: bool) {
    let inner = Limits::new(simd, strength, 0);
    let outer = Limits::new(simd, strength, BETWEEN);
    let kinds = if simple { (Kind::Simple, Kind::Simple) } else { (Kind::Outer, Kind::Inner) };
    if edges.left {
        across(simd, area, 0, &outer, kinds.0);
    }
    if edges.inner {
        for x in (4..A::SIZE).step_by(4) {
            across(simd, area, x, &inner, kinds.1);
        }
    }
    if edges.above {
        down(simd, area, 0, &outer, kinds.0);
    }
    if edges.inner {
        for y in (4..A::SIZE).step_by(4) {
            down(simd, area, y, &inner, kinds.1);
        }
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

/// Filters the edge left of column `x`.
#[inline(always)]
fn across<S: Simd, A: Area>(simd: S, area: &mut A, x: usize, limits: &Limits<S>, kind: Kind) {
    let mut lines = [[0; 8]; 16];
    for (line, samples) in lines.iter_mut().enumerate() {
        *samples = area.line(line, x);
    }
    let columns = to_columns(simd, lines);
    let lines = to_lines(simd, edge(simd, columns, limits, kind));
    for (line, samples) in lines.into_iter().enumerate() {
        area.set_line(line, x, samples);
    }
}

/// Filters the edge above row `y`.
#[inline(always)]
fn down<S: Simd, A: Area>(simd: S, area: &mut A, y: usize, limits: &Limits<S>, kind: Kind) {
    let first = y as isize - 4;
    let mut rows = [simd.bytes([0; 16]); 8];
    for (row, samples) in (first..).zip(&mut rows) {
        *samples = simd.bytes(area.row(row));
    }
    let rows = edge(simd, rows, limits, kind);
    let changed = match kind {
        Kind::Simple => 3..5,
        Kind::Outer => 1..7,
        Kind::Inner => 2..6,
    };
    for row in changed {
        area.set_row(first + row as isize, simd.array(rows[row]));
    }
}

/// Makes columns of the lines that cross an edge.
#[inline(always)]
fn to_columns<S: Simd>(simd: S, lines: [[u8; 8]; 16]) -> [S::Bytes; 8] {
    let mut now = [simd.bytes([0; 16]); 8];
    for (pair, lines) in now.iter_mut().zip(lines.as_chunks::<2>().0) {
        let [first, second] = lines.map(u64::from_le_bytes);
        *pair = simd.bytes((u128::from(first) | u128::from(second) << 64).to_le_bytes());
    }
    // Each round moves the bit of the vector's number that tells its halves into the lane's, at
    // the bottom, and the lane's top bit into the vector's.
    for _ in 0..4 {
        let before = now;
        for index in 0..4 {
            let (a, b) = (before[index], before[index + 4]);
            now[2 * index] = simd.zip_low(a, b);
            now[2 * index + 1] = simd.zip_high(a, b);
        }
    }
    now
}

/// The opposite.
#[inline(always)]
fn to_lines<S: Simd>(simd: S, columns: [S::Bytes; 8]) -> [[u8; 8]; 16] {
    let mut now = columns;
    for _ in 0..3 {
        let before = now;
        for index in 0..4 {
            let (a, b) = (before[index], before[index + 4]);
            now[2 * index] = simd.zip_low(a, b);
            now[2 * index + 1] = simd.zip_high(a, b);
        }
    }
    let mut lines = [[0; 8]; 16];
    for (lines, pair) in lines.as_chunks_mut::<2>().0.iter_mut().zip(now) {
        let both = u128::from_le_bytes(simd.array(pair));
        *lines = [(both as u64).to_le_bytes(), ((both >> 64) as u64).to_le_bytes()];
    }
    lines
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
