//! The system-call filter: a BPF table of our own, because one program must judge several architectures.
//!
//! It refuses what C++ Nix refuses (`src/libstore/unix/build/linux-derivation-builder.cc`): modes with set-user or
//! set-group bits answer `EPERM`; reading and writing of extended attributes answers `ENOTSUP`, because an archive cannot
//! hold them. And it closes the ways around that: files that are made with such a mode at once, and the two calls whose
//! arguments no filter can see, which answer `ENOSYS` as on a kernel without them. Everything else is allowed. Not a
//! security border by itself.

/// One instruction of the kernel's classic BPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u16,
    jump_true: u8,
    jump_false: u8,
    value: u32,
}

const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const ENOTSUP: u32 = 95;

/// Offsets in `struct seccomp_data`; arguments are 64 bits wide, their low word first on every machine listed here.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

const SET_ID_BITS: u32 = 0o6000;
/// `O_CREAT` and the bit of its own that `O_TMPFILE` has: only with one of them opening takes a mode.
const CREATES: u32 = 0o100 | 0o20_000_000;
/// x32 numbers are those of x86-64 with this bit.
const X32_BIT: u32 = 0x4000_0000;

/// The calls of one architecture that matter.
struct Table {
    /// `AUDIT_ARCH_*`.
    architecture: u32,
    /// Bits of the number that are not part of it.
    ignored_bits: u32,
    /// Numbers of calls that set a mode, with the index of the mode among their arguments.
    modes: &'static [(u32, u32)],
    /// Numbers of calls that open, with the index of the flags among their arguments; the mode comes behind them.
    opens: &'static [(u32, u32)],
    /// Numbers of calls that read or write extended attributes.
    attributes: &'static [u32],
}

/// `fchmodat2`, `setxattrat`, `getxattrat` have one number everywhere.
const FCHMODAT2: u32 = 452;
const SETXATTRAT: u32 = 463;
const GETXATTRAT: u32 = 464;
/// So do the calls that take what they do from memory.
const HIDDEN: &[u32] = &[425 /* io_uring_setup */, 437 /* openat2 */];

#[cfg(target_arch = "x86_64")]
const TABLES: &[Table] = &[
    Table {
        architecture: 0xc000_003e,
        ignored_bits: X32_BIT,
        // chmod fchmod fchmodat fchmodat2, creat mknod mknodat
        modes: &[(90, 1), (91, 1), (268, 2), (FCHMODAT2, 2), (85, 1), (133, 1), (259, 2)],
        opens: &[(2, 1), (257, 2)],
        attributes: &[188, 189, 190, 191, 192, 193, SETXATTRAT, GETXATTRAT],
    },
    Table {
        architecture: 0x4000_0003,
        ignored_bits: 0,
        modes: &[(15, 1), (94, 1), (306, 2), (FCHMODAT2, 2), (8, 1), (14, 1), (297, 2)],
        opens: &[(5, 1), (295, 2)],
        attributes: &[226, 227, 228, 229, 230, 231, SETXATTRAT, GETXATTRAT],
    },
];

#[cfg(target_arch = "aarch64")]
const TABLES: &[Table] = &[
    Table {
        architecture: 0xc000_00b7,
        ignored_bits: 0,
        modes: &[(52, 1), (53, 2), (FCHMODAT2, 2), (33, 2)],
        opens: &[(56, 2)],
        attributes: &[5, 6, 7, 8, 9, 10, SETXATTRAT, GETXATTRAT],
    },
    Table {
        architecture: 0x4000_0028,
        ignored_bits: 0,
        modes: &[(15, 1), (94, 1), (333, 2), (FCHMODAT2, 2), (8, 1), (14, 1), (324, 2)],
        opens: &[(5, 1), (322, 2)],
        attributes: &[226, 227, 228, 229, 230, 231, SETXATTRAT, GETXATTRAT],
    },
];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the system-call filter has no table for this architecture");

const fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD_WORD, jump_true: 0, jump_false: 0, value: offset }
}

const fn answer(value: u32) -> Instruction {
    Instruction { code: RETURN, jump_true: 0, jump_false: 0, value }
}

/// The whole program, in the kernel's form.
pub(crate) fn program() -> Vec<Instruction> {
    let mut code = vec![load(ARCHITECTURE)];
    for table in TABLES {
        let body = body(table);
        // Where the architecture is another one, the whole body is jumped over; bodies are far shorter than 255.
        let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
        code.push(Instruction { code: JUMP_EQUAL, jump_true: 0, jump_false: length, value: table.architecture });
        code.extend(body);
    }
    code.push(answer(KILL_PROCESS));
    code
}

fn body(table: &Table) -> Vec<Instruction> {
    let mut code = vec![load(NUMBER)];
    if table.ignored_bits != 0 {
        code.push(Instruction { code: AND, jump_true: 0, jump_false: 0, value: !table.ignored_bits });
    }
    for &(number, argument) in table.modes {
        code.extend([
            Instruction { code: JUMP_EQUAL, jump_true: 0, jump_false: 4, value: number },
            load(ARGUMENTS + 8 * argument),
            Instruction { code: JUMP_ANY_BIT, jump_true: 0, jump_false: 1, value: SET_ID_BITS },
            answer(ERRNO | EPERM),
            answer(ALLOW),
        ]);
    }
    for &(number, flags) in table.opens {
        code.extend([
            Instruction { code: JUMP_EQUAL, jump_true: 0, jump_false: 6, value: number },
            load(ARGUMENTS + 8 * flags),
            Instruction { code: JUMP_ANY_BIT, jump_true: 0, jump_false: 3, value: CREATES },
            load(ARGUMENTS + 8 * (flags + 1)),
            Instruction { code: JUMP_ANY_BIT, jump_true: 0, jump_false: 1, value: SET_ID_BITS },
            answer(ERRNO | EPERM),
            answer(ALLOW),
        ]);
    }
    for &number in HIDDEN {
        code.extend([
            Instruction { code: JUMP_EQUAL, jump_true: 0, jump_false: 1, value: number },
            answer(ERRNO | ENOSYS),
        ]);
    }
    for &number in table.attributes {
        code.extend([
            Instruction { code: JUMP_EQUAL, jump_true: 0, jump_false: 1, value: number },
            answer(ERRNO | ENOTSUP),
        ]);
    }
    code.push(answer(ALLOW));
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program over one call, as the kernel would.
    fn judge(architecture: u32, number: u32, arguments: [u32; 6]) -> u32 {
        let code = program();
        let word = |offset: u32| match offset {
            NUMBER => number,
            ARCHITECTURE => architecture,
            _ => arguments[((offset - ARGUMENTS) / 8) as usize],
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let Instruction { code: operation, jump_true, jump_false, value } = code[at];
            at += 1;
            match operation {
                LOAD_WORD => accumulator = word(value),
                AND => accumulator &= value,
                RETURN => return value,
                JUMP_EQUAL | JUMP_ANY_BIT => {
                    let hit = if operation == JUMP_EQUAL { accumulator == value } else { accumulator & value != 0 };
                    at += usize::from(if hit { jump_true } else { jump_false });
                }
                other => panic!("unknown operation {other:#x}"),
            }
        }
    }

    #[test]
    fn set_id_modes_are_refused_on_every_architecture() {
        for table in TABLES {
            for &(number, argument) in table.modes {
                let mut arguments = [0; 6];
                for (mode, expected) in [
                    (0o755, ALLOW),
                    (0o4755, ERRNO | EPERM),
                    (0o2755, ERRNO | EPERM),
                    (0o6755, ERRNO | EPERM),
                    (0o1777, ALLOW),
                ] {
                    arguments[argument as usize] = mode;
                    assert_eq!(judge(table.architecture, number, arguments), expected, "{number} {mode:o}");
                }
                assert_eq!(judge(table.architecture, number | table.ignored_bits, [0o4000; 6]), ERRNO | EPERM);
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn no_call_of_this_machine_is_missing() {
        const MACHINE: u32 = 0xc000_003e;
        let modes = [libc::SYS_chmod, libc::SYS_fchmod, libc::SYS_creat, libc::SYS_mknod];
        let modes_at = [libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_mknodat];
        let calls = modes.map(|call| (call, 1)).into_iter().chain(modes_at.map(|call| (call, 2)));
        for (call, argument) in calls {
            let mut arguments = [0; 6];
            arguments[argument] = 0o4755;
            assert_eq!(judge(MACHINE, call as u32, arguments), ERRNO | EPERM, "{call}");
        }
        assert_eq!(judge(MACHINE, libc::SYS_open as u32, [0, 0o102, 0o4755, 0, 0, 0]), ERRNO | EPERM);
        assert_eq!(judge(MACHINE, libc::SYS_openat as u32, [0, 0, 0o102, 0o4755, 0, 0]), ERRNO | EPERM);
        for call in [libc::SYS_openat2, libc::SYS_io_uring_setup] {
            assert_eq!(judge(MACHINE, call as u32, [0; 6]), ERRNO | ENOSYS, "{call}");
        }
        let by_path = [libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_getxattr, libc::SYS_lgetxattr];
        for call in by_path.into_iter().chain([libc::SYS_fsetxattr, libc::SYS_fgetxattr, 463, 464]) {
            assert_eq!(judge(MACHINE, call as u32, [0; 6]), ERRNO | ENOTSUP, "{call}");
        }
    }

    #[test]
    fn files_are_not_made_with_such_modes_either() {
        for table in TABLES {
            for &(number, flags) in table.opens {
                let judge = |how: u32, mode: u32| {
                    let mut arguments = [0; 6];
                    (arguments[flags as usize], arguments[flags as usize + 1]) = (how, mode);
                    judge(table.architecture, number, arguments)
                };
                assert_eq!(judge(0o102, 0o4755), ERRNO | EPERM);
                assert_eq!(judge(0o20_200_002, 0o2755), ERRNO | EPERM);
                assert_eq!(judge(0o102, 0o755), ALLOW);
                // Whatever stands there is no mode.
                assert_eq!(judge(0o2, 0o4755), ALLOW);
            }
            for &number in HIDDEN {
                assert_eq!(judge(table.architecture, number, [0; 6]), ERRNO | ENOSYS);
            }
        }
    }

    #[test]
    fn attributes_are_unsupported_and_the_rest_allowed() {
        for table in TABLES {
            for &number in table.attributes {
                assert_eq!(judge(table.architecture, number, [0; 6]), ERRNO | ENOTSUP);
            }
            assert_eq!(judge(table.architecture, 1, [0o6000; 6]), ALLOW);
        }
        assert_eq!(judge(0x1234, 1, [0; 6]), KILL_PROCESS);
    }
}
