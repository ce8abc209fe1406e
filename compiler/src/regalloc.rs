//! The adapter to the regalloc2 crate, and its only user.
//!
//! In builds with debug assertions the result is checked symbolically: every operand finds the
//! value there that the code before allocation meant.

use std::fmt;

use regalloc2::{
    Algorithm, AllocationKind, Block, Edit, Function, Inst, InstPosition, InstRange, MachineEnv, OperandConstraint,
    OperandKind, OperandPos, Output, PReg, PRegSet, RegAllocError, RegClass, RegallocOptions,
};

use crate::bpf::regs::Reg;
use crate::bpf::vcode::{Access, Constraint, Operand, VBlock, VCode, VInst, VOp, VReg};

/// Where a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In a register.
    Reg(Reg),
    /// In the spill slot of this number.
    Spill(u32),
}

/// A move that allocation inserts; never from one spill slot to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The index of the instruction that it belongs to.
    pub inst: usize,
    /// Whether it goes before that instruction, else behind it.
    pub is_before: bool,
    /// Where the value is.
    pub from: Location,
    /// Where it is wanted.
    pub to: Location,
}

/// Registers for all operands of a [`VCode`].
#[derive(Clone, Debug)]
pub struct Allocation {
    /// The registers of all operands, instruction after instruction.
    regs: Vec<Reg>,
    /// Where in `regs` each instruction's begin.
    starts: Vec<usize>,
    /// Moves in the order of the places they go to.
    pub moves: Vec<Move>,
    /// Spill slots of 8 bytes in use.
    pub spill_slots: u32,
}

impl Allocation {
    /// The registers of an instruction's operands, in their order.
    pub fn regs(&self, inst: usize) -> &[Reg] {
        &self.regs[self.starts[inst]..self.starts[inst + 1]]
    }
}

/// Why registers could not be allocated: code that breaks the invariants of [`VCode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "register allocation refuses the code: {}", self.0)
    }
}

impl std::error::Error for Refused {}

impl From<RegAllocError> for Refused {
    fn from(error: RegAllocError) -> Self {
        Self(error.to_string())
    }
}

/// Gives every operand of `code` a register.
///
/// # Errors
/// The code breaks the invariants of [`VCode`] (a bug of selection, not of the script).
pub fn allocate(code: &VCode) -> Result<Allocation, Refused> {
    let adapter = Adapter::new(code);
    let env = machine();
    let options =
        RegallocOptions { verbose_log: false, validate_ssa: cfg!(debug_assertions), algorithm: Algorithm::Ion };
    let output = regalloc2::run(&adapter, &env, &options)?;
    if cfg!(debug_assertions) {
        let mut checker = regalloc2::checker::Checker::new(&adapter, &env);
        checker.prepare(&output);
        checker.run().map_err(|errors| Refused(format!("{errors:?}")))?;
    }
    Ok(read_output(code, &output))
}

/// Registers that calls spoil come first, so that values with no call in their way leave the
/// others to those that have one.
fn machine() -> MachineEnv {
    let set = |regs: &mut dyn Iterator<Item = Reg>| regs.fold(PRegSet::empty(), |set, reg| set.with(preg(reg)));
    let none = PRegSet::empty();
    MachineEnv {
        preferred_regs_by_class: [set(&mut Reg::clobbered_by_calls()), none, none],
        non_preferred_regs_by_class: [set(&mut Reg::kept_by_calls()), none, none],
        scratch_by_class: [None; 3],
        fixed_stack_slots: Vec::new(),
    }
}

fn read_output(code: &VCode, output: &Output) -> Allocation {
    let mut regs = Vec::with_capacity(output.allocs.len());
    let mut starts = Vec::with_capacity(code.insts.len() + 1);
    for inst in 0..code.insts.len() {
        starts.push(regs.len());
        regs.extend(output.inst_allocs(Inst::new(inst)).iter().map(|&allocation| match location(allocation) {
            Location::Reg(reg) => reg,
            Location::Spill(_) => unreachable!("all constraints ask for registers"),
        }));
    }
    starts.push(regs.len());
    let moves = output.edits.iter().map(|(point, edit)| {
        let Edit::Move { from, to } = *edit;
        let is_before = point.pos() == InstPosition::Before;
        Move { inst: point.inst().index(), is_before, from: location(from), to: location(to) }
    });
    Allocation { regs, starts, moves: moves.collect(), spill_slots: output.num_spillslots as u32 }
}

fn location(allocation: regalloc2::Allocation) -> Location {
    let index = allocation.index();
    match allocation.kind() {
        AllocationKind::Reg => {
            let number = PReg::from_index(index).hw_enc() as u8;
            Location::Reg(Reg::new(number).expect("only machine registers are offered"))
        }
        AllocationKind::Stack => Location::Spill(index as u32),
        AllocationKind::None => unreachable!("every operand is allocated"),
    }
}

fn preg(reg: Reg) -> PReg {
    PReg::new(reg.number().into(), RegClass::Int)
}

/// A [`VCode`] as regalloc2 wants to see it.
struct Adapter<'a> {
    code: &'a VCode,
    operands: Lists<regalloc2::Operand>,
    params: Lists<regalloc2::VReg>,
    successors: Lists<Block>,
    predecessors: Lists<Block>,
    /// For each successor, in the order of blocks.
    args: Lists<regalloc2::VReg>,
}

impl<'a> Adapter<'a> {
    fn new(code: &'a VCode) -> Self {
        let numbers = Numbers::of(code);
        let block = |of: VBlock| Block::new(of.index());
        let mut adapter = Self {
            code,
            operands: Lists::with_capacity(code.insts.len()),
            params: Lists::with_capacity(code.blocks.len()),
            successors: Lists::with_capacity(code.blocks.len()),
            predecessors: Lists::with_capacity(code.blocks.len()),
            args: Lists::with_capacity(code.blocks.len()),
        };
        for inst in &code.insts {
            adapter.operands.push(inst.operands.iter().map(|operand| numbers.operand(operand)));
        }
        for data in &code.blocks {
            adapter.params.push(data.params.iter().map(|&param| numbers.vreg(param)));
            adapter.successors.push(data.successors.iter().map(|edge| block(edge.block)));
            adapter.predecessors.push(data.predecessors.iter().map(|&predecessor| block(predecessor)));
            for edge in &data.successors {
                adapter.args.push(edge.args.iter().map(|&arg| numbers.vreg(arg)));
            }
        }
        adapter
    }

    fn inst(&self, inst: Inst) -> &VInst {
        &self.code.insts[inst.index()]
    }
}

/// Many short lists, one behind the other.
struct Lists<T> {
    items: Vec<T>,
    /// Where each begins, and the last ends.
    starts: Vec<u32>,
}

impl<T> Lists<T> {
    fn with_capacity(lists: usize) -> Self {
        let mut starts = Vec::with_capacity(lists + 1);
        starts.push(0);
        Self { items: Vec::with_capacity(lists), starts }
    }

    fn push(&mut self, items: impl Iterator<Item = T>) {
        self.items.extend(items);
        self.starts.push(self.items.len() as u32);
    }

    fn start(&self, list: usize) -> usize {
        self.starts[list] as usize
    }

    fn get(&self, list: usize) -> &[T] {
        &self.items[self.start(list)..self.start(list + 1)]
    }
}

/// The numbers of virtual registers: those of [`VCode`], but that long lives come last. regalloc2
/// goes through registers in the order of their numbers, and clears for each a table that has grown
/// as large as the longest life so far: with a long one first that is the square of the code's length.
struct Numbers(Vec<usize>);

/// Lives over more blocks than this are long.
const LONG: usize = 64;

impl Numbers {
    fn of(code: &VCode) -> Self {
        let mut lives = vec![None; code.vreg_count as usize];
        for (index, block) in code.blocks.iter().enumerate() {
            let operands = code.insts[block.insts.clone()].iter().flat_map(|inst| &inst.operands);
            let args = block.successors.iter().flat_map(|edge| &edge.args);
            for &vreg in operands.map(|operand| &operand.vreg).chain(&block.params).chain(args) {
                lives[vreg.index()].get_or_insert((index, index)).1 = index;
            }
        }
        let mut order: Vec<usize> = (0..lives.len()).collect();
        let length = |vreg: usize| lives[vreg].map(|(first, last)| last - first);
        order.sort_by_key(|&vreg| length(vreg).filter(|&length| length > LONG));
        let mut numbers = vec![0; order.len()];
        order.into_iter().enumerate().for_each(|(number, vreg)| numbers[vreg] = number);
        Self(numbers)
    }

    fn vreg(&self, vreg: VReg) -> regalloc2::VReg {
        regalloc2::VReg::new(self.0[vreg.index()], RegClass::Int)
    }

    fn operand(&self, of: &Operand) -> regalloc2::Operand {
        let constraint = match of.constraint {
            Constraint::Any => OperandConstraint::Reg,
            Constraint::Fixed(reg) => OperandConstraint::FixedReg(preg(reg)),
            Constraint::SameAs(index) => OperandConstraint::Reuse(index.into()),
        };
        let (kind, position) = match of.access {
            Access::Use => (OperandKind::Use, OperandPos::Early),
            Access::Def => (OperandKind::Def, OperandPos::Late),
            Access::EarlyDef => (OperandKind::Def, OperandPos::Early),
        };
        regalloc2::Operand::new(self.vreg(of.vreg), constraint, kind, position)
    }
}

impl Function for Adapter<'_> {
    fn num_insts(&self) -> usize {
        self.code.insts.len()
    }

    fn num_blocks(&self) -> usize {
        self.code.blocks.len()
    }

    fn entry_block(&self) -> Block {
        Block::new(0)
    }

    fn block_insns(&self, block: Block) -> InstRange {
        let range = &self.code.blocks[block.index()].insts;
        InstRange::new(Inst::new(range.start), Inst::new(range.end))
    }

    fn block_succs(&self, block: Block) -> &[Block] {
        self.successors.get(block.index())
    }

    fn block_preds(&self, block: Block) -> &[Block] {
        self.predecessors.get(block.index())
    }

    fn block_params(&self, block: Block) -> &[regalloc2::VReg] {
        self.params.get(block.index())
    }

    fn is_ret(&self, inst: Inst) -> bool {
        matches!(self.inst(inst).op, VOp::Return { .. })
    }

    fn is_branch(&self, inst: Inst) -> bool {
        matches!(self.inst(inst).op, VOp::Jump | VOp::Branch { .. })
    }

    fn branch_blockparams(&self, block: Block, _: Inst, successor: usize) -> &[regalloc2::VReg] {
        self.args.get(self.successors.start(block.index()) + successor)
    }

    fn inst_operands(&self, inst: Inst) -> &[regalloc2::Operand] {
        self.operands.get(inst.index())
    }

    fn inst_clobbers(&self, inst: Inst) -> PRegSet {
        let inst = self.inst(inst);
        if !matches!(inst.op, VOp::Call { .. }) {
            return PRegSet::empty();
        }
        let skipped = usize::from(!inst.discards_result()); // r0 comes first, and holds the result
        Reg::clobbered_by_calls().skip(skipped).fold(PRegSet::empty(), |set, reg| set.with(preg(reg)))
    }

    fn num_vregs(&self) -> usize {
        self.code.vreg_count as usize
    }

    fn spillslot_size(&self, _: RegClass) -> usize {
        1
    }
}
