// SPDX-License-Identifier: GPL-2.0
//! Opcodes of DIF and the operands they take.

numbered! {
    /// `DIF_OP_*`. `u` before a load: from the user's memory; `r`: checked already.
    pub enum Opcode: u8 {
        Or = 1, "or";
        Xor = 2, "xor";
        And = 3, "and";
        Sll = 4, "sll";
        Srl = 5, "srl";
        Sub = 6, "sub";
        Add = 7, "add";
        Mul = 8, "mul";
        Sdiv = 9, "sdiv";
        Udiv = 10, "udiv";
        Srem = 11, "srem";
        Urem = 12, "urem";
        Not = 13, "not";
        Mov = 14, "mov";
        Cmp = 15, "cmp";
        Tst = 16, "tst";
        Ba = 17, "ba";
        Be = 18, "be";
        Bne = 19, "bne";
        Bg = 20, "bg";
        Bgu = 21, "bgu";
        Bge = 22, "bge";
        Bgeu = 23, "bgeu";
        Bl = 24, "bl";
        Blu = 25, "blu";
        Ble = 26, "ble";
        Bleu = 27, "bleu";
        Ldsb = 28, "ldsb";
        Ldsh = 29, "ldsh";
        Ldsw = 30, "ldsw";
        Ldub = 31, "ldub";
        Lduh = 32, "lduh";
        Lduw = 33, "lduw";
        Ldx = 34, "ldx";
        Ret = 35, "ret";
        Nop = 36, "nop";
        Setx = 37, "setx";
        Sets = 38, "sets";
        Scmp = 39, "scmp";
        Ldga = 40, "ldga";
        Ldgs = 41, "ldgs";
        Stgs = 42, "stgs";
        Ldta = 43, "ldta";
        Ldts = 44, "ldts";
        Stts = 45, "stts";
        Sra = 46, "sra";
        Call = 47, "call";
        Pushtr = 48, "pushtr";
        Pushtv = 49, "pushtv";
        Popts = 50, "popts";
        Flushts = 51, "flushts";
        Ldgaa = 52, "ldgaa";
        Ldtaa = 53, "ldtaa";
        Stgaa = 54, "stgaa";
        Sttaa = 55, "sttaa";
        Ldls = 56, "ldls";
        Stls = 57, "stls";
        Allocs = 58, "allocs";
        Copys = 59, "copys";
        Stb = 60, "stb";
        Sth = 61, "sth";
        Stw = 62, "stw";
        Stx = 63, "stx";
        Uldsb = 64, "uldsb";
        Uldsh = 65, "uldsh";
        Uldsw = 66, "uldsw";
        Uldub = 67, "uldub";
        Ulduh = 68, "ulduh";
        Ulduw = 69, "ulduw";
        Uldx = 70, "uldx";
        Rldsb = 71, "rldsb";
        Rldsh = 72, "rldsh";
        Rldsw = 73, "rldsw";
        Rldub = 74, "rldub";
        Rlduh = 75, "rlduh";
        Rlduw = 76, "rlduw";
        Rldx = 77, "rldx";
        Xlate = 78, "xlate";
        Xlarg = 79, "xlarg";
    }
}

/// How an instruction's 24 bits of operands are laid out, and in which order listings name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// None.
    None,
    /// `r1, r2, rd`
    Three,
    /// `r1, rd`
    Two,
    /// `r1, r2`
    Compare,
    /// `r1`
    Test,
    /// `label`
    Branch,
    /// `[r1], rd`
    Load,
    /// `r1, [rd]`
    Store,
    /// `rd`
    Return,
    /// `index of an integer, rd`
    Integer,
    /// `offset of a string, rd`
    String,
    /// `array variable, register of the index, rd`
    LoadElement,
    /// `variable, rd`
    LoadVariable,
    /// `variable, rs`
    StoreVariable,
    /// `subroutine, rd`
    Call,
    /// `type, register of the size, register of the value`
    Push,
    /// `translator, rd`: only before linking; never for a kernel.
    Translator,
}

impl Opcode {
    /// What operands it takes.
    pub const fn operands(self) -> Operands {
        match self {
            Self::Nop | Self::Popts | Self::Flushts => Operands::None,
            Self::Not | Self::Mov | Self::Allocs => Operands::Two,
            Self::Cmp | Self::Scmp => Operands::Compare,
            Self::Tst => Operands::Test,
            Self::Ba
            | Self::Be
            | Self::Bne
            | Self::Bg
            | Self::Bgu
            | Self::Bge
            | Self::Bgeu
            | Self::Bl
            | Self::Blu
            | Self::Ble
            | Self::Bleu => Operands::Branch,
            Self::Ldsb
            | Self::Ldsh
            | Self::Ldsw
            | Self::Ldub
            | Self::Lduh
            | Self::Lduw
            | Self::Ldx
            | Self::Uldsb
            | Self::Uldsh
            | Self::Uldsw
            | Self::Uldub
            | Self::Ulduh
            | Self::Ulduw
            | Self::Uldx
            | Self::Rldsb
            | Self::Rldsh
            | Self::Rldsw
            | Self::Rldub
            | Self::Rlduh
            | Self::Rlduw
            | Self::Rldx => Operands::Load,
            Self::Stb | Self::Sth | Self::Stw | Self::Stx => Operands::Store,
            Self::Ret => Operands::Return,
            Self::Setx => Operands::Integer,
            Self::Sets => Operands::String,
            Self::Ldga | Self::Ldta => Operands::LoadElement,
            Self::Ldgs | Self::Ldts | Self::Ldgaa | Self::Ldtaa | Self::Ldls => {
                Operands::LoadVariable
            }
            Self::Stgs | Self::Stts | Self::Stgaa | Self::Sttaa | Self::Stls => {
                Operands::StoreVariable
            }
            Self::Call => Operands::Call,
            Self::Pushtr | Self::Pushtv => Operands::Push,
            Self::Xlate | Self::Xlarg => Operands::Translator,
            _ => Operands::Three,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_holes() {
        assert_eq!(Opcode::ALL.len(), 79);
        for (number, opcode) in (1..).zip(Opcode::ALL) {
            assert_eq!(opcode.raw(), number);
            assert_eq!(Opcode::from_raw(number), Some(*opcode));
            assert_eq!(Opcode::from_name(opcode.name()), Some(*opcode));
        }
        assert_eq!(Opcode::from_raw(0), None);
        assert_eq!(Opcode::from_raw(80), None);
    }

    #[test]
    fn only_arithmetic_takes_three_registers() {
        let three = Opcode::ALL
            .iter()
            .filter(|one| one.operands() == Operands::Three);
        assert_eq!(three.count(), 14);
    }
}
