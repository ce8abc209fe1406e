//! The patterns: what one instruction of the IR becomes.

use smallvec::smallvec;

use super::inst::{AluOp, Cond, Size, Width};
use super::regs::{R0, Reg};
use super::select::Selector;
use super::vcode::{Base, Load, Loads, Operand, Operands, VInst, VOp, VReg};
use crate::catalog::helpers::Helper;
use crate::ir::{BinaryOp, CmpOp, InstData, Value};

/// A comparison as the target has it.
struct Comparison {
    cond: Cond,
    width: Width,
    left: Value,
    right: Right,
}

/// The second operand of an operation.
#[derive(Clone, Copy)]
enum Right {
    Value(Value),
    Imm(i32),
}

impl Selector<'_> {
    /// Selects instructions for one instruction that is no terminator.
    pub(super) fn inst(&mut self, data: &InstData, result: Option<Value>) {
        match data {
            InstData::Iconst { .. }
            | InstData::StackAddr { .. }
            | InstData::MapAddr { .. }
            | InstData::CounterAddr { .. }
            | InstData::CallbackAddr { .. } => {} // computed anew before each use
            InstData::Binary { op, args: [a, b] } => {
                let dst = self.result(result);
                self.binary(*op, *a, *b, dst);
            }
            InstData::PtrAdd { base, offset } => {
                let (base, dst) = (self.reg(*base), self.result(result));
                match self.func.constant(*offset).map(i32::try_from) {
                    Some(Ok(offset)) => self.alu(AluOp::Add, base, offset, dst),
                    _ => {
                        let offset = self.reg(*offset);
                        self.alu_reg(AluOp::Add, base, offset, dst);
                    }
                }
            }
            InstData::Extend { signed, bytes, arg } => {
                let (arg, dst) = (self.reg(*arg), self.result(result));
                self.extend(*signed, *bytes, arg, dst);
            }
            InstData::Icmp { op, args } => {
                let dst = self.result(result);
                self.compare(*op, *args, dst);
            }
            InstData::Load { bytes, signed, base, offset } => {
                let dst = self.result(result);
                self.load(*bytes, *signed, (*base, *offset), dst);
            }
            InstData::Store { bytes, value, base, offset } => self.store(*bytes, *value, (*base, *offset)),
            InstData::FetchAdd { value, base, offset } => {
                let wanted = result.filter(|&result| self.is_wanted(result));
                self.atomic_add(*value, (*base, *offset), wanted);
            }
            InstData::AtomicAdd { value, base, offset } => self.atomic_add(*value, (*base, *offset), None),
            InstData::Call { helper, args } => self.call(*helper, args, result),
            _ => unreachable!("the upper level and terminators do not come here: {data:?}"),
        }
    }

    /// Selects a branch on `cond`; answers whether the two destinations change places.
    pub(super) fn branch(&mut self, cond: Value) -> bool {
        let (cond, negated) = self.without_tests_for_zero(cond);
        let (op, [a, b]) = match self.func.def(cond) {
            Some(&InstData::Icmp { op, args }) => (if negated { op.inverse() } else { op }, args),
            _ => return self.branch_on_bits(cond, negated),
        };
        if self.func.constant(b) == Some(0) && matches!(op, CmpOp::Eq | CmpOp::Ne) {
            return self.branch_on_bits(a, op == CmpOp::Eq);
        }
        let comparison = self.comparison(op, [a, b]);
        self.emit_branch(&comparison);
        false
    }

    /// Looks through `icmp ne (icmp ..), 0` and `icmp eq (icmp ..), 0`.
    fn without_tests_for_zero(&self, mut cond: Value) -> (Value, bool) {
        let mut negated = false;
        while let Some(&InstData::Icmp { op: op @ (CmpOp::Eq | CmpOp::Ne), args: [inner, zero] }) = self.func.def(cond)
        {
            if self.func.constant(zero) != Some(0) || !matches!(self.func.def(inner), Some(InstData::Icmp { .. })) {
                break;
            }
            negated ^= op == CmpOp::Eq;
            cond = inner;
        }
        (cond, negated)
    }

    /// A branch taken when `value` is not zero (when `is_zero`: when it is).
    fn branch_on_bits(&mut self, value: Value, is_zero: bool) -> bool {
        match self.func.def(value) {
            Some(&InstData::Binary { op: BinaryOp::And, args: [a, b] }) if self.use_counts[value] == 1 => {
                let (left, right) = self.constant_last(a, b);
                let right = self.right(right);
                self.emit_branch(&Comparison { cond: Cond::Set, width: Width::W64, left, right });
                is_zero // there is no jump for "no bit set": the destinations change places
            }
            _ => {
                let (cond, right) = (if is_zero { Cond::Eq } else { Cond::Ne }, Right::Imm(0));
                let (left, width) = match self.zero_extended_from_32(value) {
                    Some(narrow) => (narrow, Width::W32),
                    None => (value, Width::W64),
                };
                self.emit_branch(&Comparison { cond, width, left, right });
                false
            }
        }
    }

    fn emit_branch(&mut self, comparison: &Comparison) {
        let &Comparison { cond, width, left, right } = comparison;
        let (operands, imm) = self.operands(left, right);
        self.push(VInst { op: VOp::Branch { cond, width, imm }, operands, span: self.span() });
    }

    fn compare(&mut self, op: CmpOp, [a, b]: [Value; 2], dst: VReg) {
        if op == CmpOp::Slt && self.func.constant(b) == Some(0) {
            let a = self.reg(a);
            return self.alu(AluOp::Rsh, a, 63, dst); // the sign bit
        }
        let Comparison { cond, width, left, right } = self.comparison(op, [a, b]);
        let (mut operands, imm) = self.operands(left, right);
        operands.push(Operand::writes_early(dst));
        self.push(VInst { op: VOp::Compare { cond, width, imm }, operands, span: self.span() });
    }

    fn comparison(&self, op: CmpOp, [a, b]: [Value; 2]) -> Comparison {
        let (op, a, b) = match (self.func.constant(a), self.func.constant(b)) {
            (Some(_), None) => (op.swapped(), b, a),
            _ => (op, a, b),
        };
        self.narrow_comparison(op, a, b).unwrap_or_else(|| Comparison {
            cond: op.into(),
            width: Width::W64,
            left: a,
            right: self.right(b),
        })
    }

    /// Comparing two zero-extended 32-bit values needs no extension.
    fn narrow_comparison(&self, op: CmpOp, a: Value, b: Value) -> Option<Comparison> {
        if matches!(op, CmpOp::Slt | CmpOp::Sle | CmpOp::Sgt | CmpOp::Sge) {
            return None;
        }
        let left = self.zero_extended_from_32(a)?;
        let right = match self.func.constant(b) {
            Some(imm) => Right::Imm(u32::try_from(imm).ok()? as i32),
            None => Right::Value(self.zero_extended_from_32(b)?),
        };
        Some(Comparison { cond: op.into(), width: Width::W32, left, right })
    }

    /// What `value` is the zero extension of, if nobody else needs the extension.
    fn zero_extended_from_32(&self, value: Value) -> Option<Value> {
        match self.func.def(value) {
            Some(&InstData::Extend { signed: false, bytes: 4, arg }) if self.use_counts[value] == 1 => Some(arg),
            _ => None,
        }
    }

    /// The two operands with a constant, if there is one, as the second.
    fn constant_last(&self, a: Value, b: Value) -> (Value, Value) {
        if self.func.constant(a).is_some() { (b, a) } else { (a, b) }
    }

    fn right(&self, value: Value) -> Right {
        match self.func.constant(value).map(i32::try_from) {
            Some(Ok(imm)) => Right::Imm(imm),
            _ => Right::Value(value),
        }
    }

    fn operands(&mut self, left: Value, right: Right) -> (Operands, Option<i32>) {
        let left = Operand::reads(self.reg(left));
        match right {
            Right::Value(right) => (smallvec![left, Operand::reads(self.reg(right))], None),
            Right::Imm(imm) => (smallvec![left], Some(imm)),
        }
    }

    fn binary(&mut self, op: BinaryOp, a: Value, b: Value, dst: VReg) {
        let (a, b) = if is_commutative(op) { self.best_order(a, b) } else { (a, b) };
        match (op, self.func.constant(a), self.func.constant(b)) {
            (BinaryOp::Sub, Some(0), _) => {
                let b = self.reg(b);
                self.emit(VOp::Neg, [Operand::reads(b), Operand::overwrites_first(dst)]);
            }
            (BinaryOp::Sdiv | BinaryOp::Srem, _, _) => self.divide_signed(op, a, b, dst),
            (_, _, Some(imm)) => {
                let a = self.reg(a);
                self.binary_imm(op, a, imm, dst);
            }
            _ => {
                let (a, b) = (self.reg(a), self.reg(b));
                self.alu_reg(alu_op(op), a, b, dst);
            }
        }
    }

    /// Of a commutative operation's operands the first is overwritten: it should be one that
    /// nobody else needs.
    fn best_order(&self, a: Value, b: Value) -> (Value, Value) {
        let is_needed_later = |value| self.use_counts[value] > 1;
        match self.func.constant(b) {
            Some(_) => (a, b),
            None if self.func.constant(a).is_some() || (is_needed_later(a) && !is_needed_later(b)) => (b, a),
            None => (a, b),
        }
    }

    /// `dst = a op imm` for any constant and any operation but signed division.
    pub(super) fn binary_imm(&mut self, op: BinaryOp, a: VReg, imm: i64, dst: VReg) {
        let small = i32::try_from(imm);
        match (op, small) {
            (BinaryOp::Shl | BinaryOp::Lshr | BinaryOp::Ashr, _) => self.alu(alu_op(op), a, (imm & 63) as i32, dst),
            // The kernel refuses a division by the constant zero.
            (BinaryOp::Udiv, Ok(0)) => self.emit(VOp::LoadImm { imm: 0 }, [Operand::writes(dst)]),
            (BinaryOp::Urem, Ok(0)) => self.mov(Width::W64, a, dst),
            (BinaryOp::And, _) if imm == 0xffff_ffff => self.mov(Width::W32, a, dst),
            (BinaryOp::And, Err(_)) if u32::try_from(imm).is_ok() => {
                let op = VOp::Alu { op: AluOp::And, width: Width::W32, imm: Some(imm as u32 as i32) };
                self.emit(op, [Operand::reads(a), Operand::overwrites_first(dst)]);
            }
            (_, Ok(small)) => self.alu(alu_op(op), a, small, dst),
            (_, Err(_)) => {
                let b = self.fresh();
                self.emit(VOp::LoadImm { imm }, [Operand::writes(b)]);
                // The constant is nobody else's: it is the one to be overwritten.
                let (first, second) = if is_commutative(op) { (b, a) } else { (a, b) };
                self.alu_reg(alu_op(op), first, second, dst);
            }
        }
    }

    /// `dst = a op imm`
    pub(super) fn alu(&mut self, op: AluOp, a: VReg, imm: i32, dst: VReg) {
        let op = VOp::Alu { op, width: Width::W64, imm: Some(imm) };
        self.emit(op, [Operand::reads(a), Operand::overwrites_first(dst)]);
    }

    /// `dst = a op b`
    pub(super) fn alu_reg(&mut self, op: AluOp, a: VReg, b: VReg, dst: VReg) {
        let op = VOp::Alu { op, width: Width::W64, imm: None };
        self.emit(op, [Operand::reads(a), Operand::reads(b), Operand::overwrites_first(dst)]);
    }

    /// `dst = a`
    pub(super) fn mov(&mut self, width: Width, a: VReg, dst: VReg) {
        self.emit(VOp::Mov { width }, [Operand::reads(a), Operand::writes(dst)]);
    }

    fn extend(&mut self, signed: bool, bytes: u8, arg: VReg, dst: VReg) {
        match (signed, bytes) {
            (true, _) => {
                let (shift, shifted) = (64 - 8 * i32::from(bytes), self.fresh());
                self.alu(AluOp::Lsh, arg, shift, shifted);
                self.alu(AluOp::Arsh, shifted, shift, dst);
            }
            (false, 4) => self.mov(Width::W32, arg, dst),
            (false, _) => self.alu(AluOp::And, arg, (1 << (8 * bytes)) - 1, dst),
        }
    }

    fn load(&mut self, bytes: u8, signed: bool, address: (Value, i16), dst: VReg) {
        let (base, offset, mut operands) = self.address(address);
        let loaded = if signed && bytes < 8 { self.fresh() } else { dst };
        operands.push(Operand::writes(loaded));
        let op = VOp::Load { size: Size::of_bytes(bytes), base, offset };
        self.push(VInst { op, operands, span: self.span() });
        if loaded != dst {
            self.extend(signed, bytes, loaded, dst);
        }
    }

    fn store(&mut self, bytes: u8, value: Value, address: (Value, i16)) {
        let (base, offset, mut operands) = self.address(address);
        let imm = self.func.constant(value).and_then(|value| match bytes {
            8 => i32::try_from(value).ok(),
            _ => Some(value as i32), // its low bytes are all that is stored
        });
        if imm.is_none() {
            let value = self.without_extension(value, bytes);
            operands.push(Operand::reads(self.reg(value)));
        }
        let op = VOp::Store { size: Size::of_bytes(bytes), base, offset, imm };
        self.push(VInst { op, operands, span: self.span() });
    }

    /// A store of the low bytes does not mind what an extension puts above them.
    fn without_extension(&self, value: Value, bytes: u8) -> Value {
        match self.func.def(value) {
            Some(&InstData::Extend { bytes: extended, arg, .. })
                if extended >= bytes && self.use_counts[value] == 1 =>
            {
                arg
            }
            _ => value,
        }
    }

    /// When all arguments are constants or fixed addresses, register allocation need not know of
    /// them. (With others among them it would find no place in front of the call to move those.)
    fn call(&mut self, helper: Helper, args: &[Value], result: Option<Value>) {
        let start = self.loads.len();
        let mut operands = Operands::new();
        let are_fixed = args.iter().all(|&arg| self.is_fixed(arg));
        for (&arg, to) in args.iter().zip((0..).map(Reg::argument)) {
            match are_fixed.then(|| self.load_of(arg)).flatten() {
                Some(op) => self.loads.push(Load { to, op }),
                None => operands.push(Operand::reads_in(self.reg(arg), to)),
            }
        }
        let wanted = result.filter(|&result| self.is_wanted(result));
        operands.extend(wanted.map(|result| Operand::writes_in(self.home(result), R0)));
        let op = VOp::Call { helper, loads: Loads::between(start, self.loads.len()) };
        self.push(VInst { op, operands, span: self.span() });
    }

    fn atomic_add(&mut self, value: Value, address: (Value, i16), result: Option<Value>) {
        let (base, offset, base_operand) = self.address(address);
        let mut operands: Operands = smallvec![Operand::reads(self.reg(value))];
        operands.extend(base_operand);
        let op = match result {
            Some(result) => {
                operands.push(Operand::overwrites_first(self.home(result)));
                VOp::FetchAdd { base, offset }
            }
            None => VOp::AtomicAdd { base, offset },
        };
        self.push(VInst { op, operands, span: self.span() });
    }

    /// Where an address is: stack slots relative to the frame pointer, all else in a register.
    fn address(&mut self, (base, offset): (Value, i16)) -> (Base, i32, Operands) {
        let offset = i32::from(offset);
        match self.func.def(base) {
            Some(&InstData::StackAddr { slot, offset: start }) => {
                (Base::Frame, self.frame_offset(slot, start) + offset, Operands::new())
            }
            Some(&InstData::PtrAdd { base: pointer, offset: more }) => {
                let sum =
                    self.func.constant(more).and_then(|more| i16::try_from(more.checked_add(offset.into())?).ok());
                let (base, offset) = sum.map_or((base, offset), |sum| (pointer, i32::from(sum)));
                (Base::Operand, offset, smallvec![Operand::reads(self.reg(base))])
            }
            _ => (Base::Operand, offset, smallvec![Operand::reads(self.reg(base))]),
        }
    }

    fn result(&mut self, result: Option<Value>) -> VReg {
        self.home(result.expect("a verified instruction of this kind has a result"))
    }
}

fn is_commutative(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Add | BinaryOp::Mul | BinaryOp::And | BinaryOp::Or | BinaryOp::Xor)
}

fn alu_op(op: BinaryOp) -> AluOp {
    match op {
        BinaryOp::Add => AluOp::Add,
        BinaryOp::Sub => AluOp::Sub,
        BinaryOp::Mul => AluOp::Mul,
        BinaryOp::Udiv => AluOp::Div,
        BinaryOp::Urem => AluOp::Mod,
        BinaryOp::And => AluOp::And,
        BinaryOp::Or => AluOp::Or,
        BinaryOp::Xor => AluOp::Xor,
        BinaryOp::Shl => AluOp::Lsh,
        BinaryOp::Lshr => AluOp::Rsh,
        BinaryOp::Ashr => AluOp::Arsh,
        BinaryOp::Sdiv | BinaryOp::Srem => unreachable!("signed division is built of other operations"),
    }
}
