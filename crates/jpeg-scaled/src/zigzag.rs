//! The zigzag sequence (ITU-T T.81, figure A.6).

/// Row and column of each coefficient in the order of the file.
pub const ZIGZAG: [(u8, u8); 64] = zigzag();

const fn zigzag() -> [(u8, u8); 64] {
    let mut order = [(0, 0); 64];
    let (mut row, mut column) = (0_u8, 0_u8);
    let mut index = 0;
    while index < 64 {
        order[index] = (row, column);
        let up = (row + column) % 2 == 0;
        if up && column == 7 || !up && row == 7 {
            if up {
                row += 1;
            } else {
                column += 1;
            }
        } else if up && row == 0 {
            column += 1;
        } else if !up && column == 0 {
            row += 1;
        } else if up {
            row -= 1;
            column += 1;
        } else {
            row += 1;
            column -= 1;
        }
        index += 1;
    }
    order
}
