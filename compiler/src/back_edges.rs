//! What kernels before 6.8 ask of a loop: that the way back to its head is a jump. They walk through
//! a program from its start, and refuse an instruction that just goes on to one whose walk is not
//! at its end.

use crate::bpf::encode::SLOT_BYTES;

/// Classes of instructions that jump, and their operations, in the first byte.
const CLASS: u8 = 0x07;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const OPERATION: u8 = 0xf0;
const GOTO: u8 = 0x00;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;

/// The first slot that goes back without a jump.
pub fn back_without_jump(bytes: &[u8]) -> Option<usize> {
    let slots: Vec<&[u8]> = bytes.chunks_exact(SLOT_BYTES).collect();
    let (mut is_met, mut is_open) = (vec![false; slots.len()], vec![false; slots.len()]);
    let mut pending = vec![(0, false)];
    while let Some((slot, is_done)) = pending.pop() {
        if is_done {
            is_open[slot] = false;
            continue;
        }
        if std::mem::replace(&mut is_met[slot], true) {
            continue;
        }
        is_open[slot] = true;
        pending.push((slot, true));
        let (next, goes_on) = ways(slots[slot], slot);
        if goes_on && next.iter().any(|&next| is_open[next]) {
            return Some(slot);
        }
        // The kernel takes the way straight on first.
        pending.extend(next.into_iter().rev().map(|next| (next, false)));
    }
    None
}

/// Where it goes from a slot, and whether that is without a jump.
fn ways(inst: &[u8], slot: usize) -> (Vec<usize>, bool) {
    let target = || slot.wrapping_add_signed(1 + isize::from(i16::from_le_bytes([inst[2], inst[3]])));
    match (inst[0] & CLASS, inst[0] & OPERATION) {
        (JMP, EXIT) => (Vec::new(), false),
        (JMP, GOTO) => (vec![target()], false),
        (JMP, CALL) => (vec![slot + 1], true),
        (JMP | JMP32, _) => (vec![slot + 1, target()], false),
        _ => (vec![slot + 1], true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: [u8; 8] = [0xb7, 0, 0, 0, 1, 0, 0, 0];
    const END: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

    fn goto(operation: u8, offset: i16) -> [u8; 8] {
        let [low, high] = offset.to_le_bytes();
        [operation, 0, low, high, 0, 0, 0, 0]
    }

    #[test]
    fn a_loop_goes_back_by_a_jump() {
        let program = [SET, SET, goto(0x55, -2), END].concat();
        assert_eq!(back_without_jump(&program), None);
    }

    #[test]
    fn a_loop_with_two_ways_in_does_not() {
        // 1 goes to 4 or on to 2, which goes on to 4 by way of 3, and so does the loop's end.
        let program = [SET, goto(0x15, 2), SET, SET, SET, goto(0x55, -3), END].concat();
        assert_eq!(back_without_jump(&program), None, "it is entered where it goes back to first");
        let program = [SET, goto(0x15, 1), goto(0x05, 1), SET, SET, goto(0x55, -3), END].concat();
        assert_eq!(back_without_jump(&program), Some(3));
    }
}
