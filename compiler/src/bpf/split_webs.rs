//! Splits the lives of variables that very many branches change.
//!
//! A variable is a web of registers: the parameters of the blocks where its values meet, and what
//! is brought to them. regalloc2 tries to give all of a web one register and merges it piece by
//! piece, sorting the whole each time, which takes the square of the web's size. So a web ends at
//! a number of parameters that short scripts do not reach, and begins anew behind a copy.

use super::vcode::{Access, Constraint, VCode, VInst, VReg};

/// The most parameters of a web before it is split.
const MAX_PARAMS: u32 = 64;

/// Splits all webs that are too large.
pub(super) fn split_webs(code: &mut VCode) {
    let params: usize = code.blocks.iter().map(|block| block.params.len()).sum();
    if params > MAX_PARAMS as usize {
        let mut webs = Webs::new(code.vreg_count);
        (0..code.blocks.len()).for_each(|block| webs.block(code, block));
        webs.insert_copies(code);
    }
}

/// The webs as a forest in which a register points to another of its web (Tarjan's union-find).
struct Webs {
    parents: Vec<u32>,
    /// How many parameters the web of a root has.
    params: Vec<u32>,
    /// What stands for a parameter behind the cut.
    copies: Vec<Option<VReg>>,
}

impl Webs {
    fn new(vregs: u32) -> Self {
        let count = vregs as usize;
        Self { parents: (0..vregs).collect(), params: vec![0; count], copies: vec![None; count] }
    }

    /// Joins what a block's instructions and edges tie to each other, and cuts webs that have become
    /// too large at its parameters. Blocks come in reverse post-order, so that of a web most is known.
    fn block(&mut self, code: &VCode, block: usize) {
        let data = &code.blocks[block];
        for &param in &data.params {
            let root = self.root(param);
            self.params[root.index()] += 1;
            if self.params[root.index()] > MAX_PARAMS {
                self.cut(param);
            }
        }
        for inst in &code.insts[data.insts.clone()] {
            for operand in &inst.operands {
                if let Constraint::SameAs(other) = operand.constraint {
                    self.join(operand.vreg, self.current(inst.operands[usize::from(other)].vreg));
                }
            }
        }
        for edge in &data.successors {
            let params = &code.blocks[edge.block.index()].params;
            params.iter().zip(&edge.args).for_each(|(&param, &arg)| self.join(param, self.current(arg)));
        }
    }

    fn cut(&mut self, param: VReg) {
        let copy = self.parents.len() as u32;
        self.copies[param.index()] = Some(VReg(copy));
        self.parents.push(copy);
        self.params.push(0);
        self.copies.push(None);
    }

    /// What an instruction reads for `vreg`.
    fn current(&self, vreg: VReg) -> VReg {
        self.copies[vreg.index()].unwrap_or(vreg)
    }

    fn root(&mut self, vreg: VReg) -> VReg {
        let mut at = vreg.index();
        while self.parents[at] as usize != at {
            self.parents[at] = self.parents[self.parents[at] as usize];
            at = self.parents[at] as usize;
        }
        VReg(at as u32)
    }

    fn join(&mut self, a: VReg, b: VReg) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.parents[b.index()] = a.0;
            self.params[a.index()] += self.params[b.index()];
        }
    }

    /// Copies each cut parameter where its block begins, for all that reads it.
    fn insert_copies(self, code: &mut VCode) {
        if self.parents.len() as u32 == code.vreg_count {
            return;
        }
        code.vreg_count = self.parents.len() as u32;
        let insts = std::mem::take(&mut code.insts);
        let mut insts = insts.into_iter();
        for data in &mut code.blocks {
            let start = code.insts.len();
            let mut own = insts.by_ref().take(data.insts.len()).peekable();
            let span = own.peek().expect("no block is empty").span;
            let copies = data.params.iter().filter_map(|&param| Some((param, self.copies[param.index()]?)));
            code.insts.extend(copies.map(|(param, copy)| VInst::mov(param, copy, span)));
            for mut inst in own {
                let reads = inst.operands.iter_mut().filter(|operand| operand.access == Access::Use);
                reads.for_each(|operand| operand.vreg = self.current(operand.vreg));
                code.insts.push(inst);
            }
            data.insts = start..code.insts.len();
            let args = data.successors.iter_mut().flat_map(|edge| &mut edge.args);
            args.for_each(|arg| *arg = self.current(*arg));
        }
    }
}

#[cfg(test)]
mod tests {
    use pfscript_grammar::Span;
    use smallvec::SmallVec;

    use super::super::vcode::{Edge, Operands, VBlock, VBlockData, VOp};
    use super::*;

    /// `count` blocks one after another, each of which gives its parameter to the next.
    fn chain(count: u32) -> VCode {
        let jump = |_| VInst { op: VOp::Jump, operands: Operands::new(), span: Span::default() };
        let block = |index: u32| VBlockData {
            insts: index as usize..index as usize + 1,
            params: vec![VReg(index)],
            successors: (index + 1 < count)
                .then(|| Edge { block: VBlock(index + 1), args: vec![VReg(index)] })
                .into_iter()
                .collect(),
            predecessors: SmallVec::new(),
        };
        VCode {
            insts: (0..count).map(jump).collect(),
            blocks: (0..count).map(block).collect(),
            loads: Vec::new(),
            layout: (0..count).map(VBlock).collect(),
            vreg_count: count,
            frame_bytes: 0,
        }
    }

    #[test]
    fn a_web_of_the_usual_size_stays_whole() {
        let mut code = chain(MAX_PARAMS);
        split_webs(&mut code);
        assert_eq!((code.insts.len(), code.vreg_count), (MAX_PARAMS as usize, MAX_PARAMS));
    }

    #[test]
    fn a_larger_web_is_cut_by_copies() {
        let mut code = chain(3 * MAX_PARAMS);
        split_webs(&mut code);
        let copies: Vec<_> = code.insts.iter().filter(|inst| matches!(inst.op, VOp::Mov { .. })).collect();
        assert_eq!(copies.len(), 2);
        let (cut, copy) = (copies[0].operands[0].vreg, copies[0].operands[1].vreg);
        let behind = &code.blocks[cut.index()];
        assert_eq!((behind.params[0], behind.successors[0].args[0]), (cut, copy));
        assert_eq!(behind.insts.len(), 2);
    }
}
