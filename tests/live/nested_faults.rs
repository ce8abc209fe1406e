//! A program whose page faults have known stacks, which the tests build with frame pointers: 300 pages
//! are touched by way of `outer`, `middle` and `inner`, 100 by way of `outer` and `side`, and into 50
//! the kernel writes for `fill`.

use std::hint::black_box;
use std::io::Read;

const PAGE: usize = 4096;

fn main() {
    // All at once: memory that is given back and taken again would not be fresh.
    let [mut deep, mut shallow, mut filled] = [300, 100, 50].map(|pages| vec![0; pages * PAGE]);
    outer(&mut deep, &mut shallow);
    fill(&mut filled);
}

#[inline(never)]
fn outer(deep: &mut [u8], shallow: &mut [u8]) {
    deep.chunks_mut(PAGE).for_each(middle);
    shallow.chunks_mut(PAGE).for_each(side);
}

#[inline(never)]
fn middle(page: &mut [u8]) {
    inner(page);
    // Without something behind it the call would be a jump, and leave no frame.
    black_box(page);
}

#[inline(never)]
fn inner(page: &mut [u8]) {
    page[0] = black_box(1);
    black_box(page);
}

#[inline(never)]
fn side(page: &mut [u8]) {
    page[0] = black_box(2);
    black_box(page);
}

#[inline(never)]
fn fill(pages: &mut [u8]) {
    let zeros = std::fs::File::open("/dev/zero").and_then(|mut zeros| zeros.read_exact(pages));
    black_box(zeros.expect("it never ends"));
    black_box(pages);
}
