// SPDX-License-Identifier: GPL-2.0
//! A module's life: [`Module`] and what the `module!` macro makes of it.

use crate::error::Result;
use crate::ffi::{c_void, CStr};

/// The module's own type: made at load, dropped at unload.
pub trait Module: Sized + Sync + Send {
    /// Called when the module is loaded. Task context, may sleep.
    fn init(module: &'static ThisModule) -> Result<Self>;
}

/// What `module!` says about a module.
pub trait ModuleMetadata {
    /// The name as specified in `module!`.
    const NAME: &'static CStr;
}

/// The kernel's `THIS_MODULE`.
pub struct ThisModule(*mut c_void);

// SAFETY: The pointer is only handed on; `struct module` has its own locks.
unsafe impl Sync for ThisModule {}

impl ThisModule {
    /// Wraps the pointer to a module's `struct module`.
    ///
    /// # Safety
    ///
    /// The pointer must be equal to the right `THIS_MODULE`.
    pub const unsafe fn from_ptr(ptr: *mut c_void) -> ThisModule {
        ThisModule(ptr)
    }

    /// The raw `struct module` pointer.
    pub const fn as_ptr(&self) -> *mut c_void {
        self.0
    }
}

/// Declares a module: its type, its `.modinfo`, and the functions that the kernel calls at load
/// and unload.
///
/// Keys in this order, as in the newer crate: `type`, `name`, `authors`, `description`, `license`.
/// Parameters are declared in the module's C shim: the newer crate has none of string type.
#[macro_export]
macro_rules! module {
    (
        type: $type:ty,
        name: $name:literal,
        authors: [$($author:literal),+ $(,)?],
        description: $description:literal,
        license: $license:literal,
    ) => {
        const __LOG_PREFIX: &[u8] = ::core::concat!($name, "\0").as_bytes();

        #[allow(dead_code)]
        type LocalModule = $type;

        impl $crate::ModuleMetadata for $type {
            const NAME: &'static ::core::ffi::CStr =
                match ::core::ffi::CStr::from_bytes_with_nul(__LOG_PREFIX) {
                    Ok(name) => name,
                    Err(_) => panic!("a module name holds a NUL"),
                };
        }

        $($crate::modinfo!("author", $author);)+
        $crate::modinfo!("description", $description);
        $crate::modinfo!("license", $license);

        #[doc(hidden)]
        mod __module_init {
            use super::LocalModule;
            use ::core::mem::MaybeUninit;

            static mut __MOD: MaybeUninit<LocalModule> = MaybeUninit::uninit();

            extern "C" {
                static mut __this_module: [u8; 0];
            }

            static __THIS_MODULE: $crate::ThisModule =
                // SAFETY: modpost defines `__this_module` in each module; it lives as long as
                // the module does.
                unsafe { $crate::ThisModule::from_ptr((&raw mut __this_module).cast()) };

            #[no_mangle]
            #[link_section = ".init.text"]
            extern "C" fn init_module() -> $crate::ffi::c_int {
                match <LocalModule as $crate::Module>::init(&__THIS_MODULE) {
                    Ok(module) => {
                        // SAFETY: The kernel calls this once, and `cleanup_module` only after it
                        // answered 0: nobody else looks at `__MOD` now.
                        unsafe { (&raw mut __MOD).write(MaybeUninit::new(module)) };
                        0
                    }
                    Err(error) => error.to_errno(),
                }
            }

            #[no_mangle]
            #[link_section = ".exit.text"]
            extern "C" fn cleanup_module() {
                // SAFETY: Called once, after `init_module` answered 0 and so filled `__MOD`.
                unsafe { (*(&raw mut __MOD)).assume_init_drop() };
            }

            // The kernel calls both through pointers: keep their ENDBR.
            #[used]
            #[link_section = ".init.data"]
            static __ADDRESSABLE_INIT: extern "C" fn() -> $crate::ffi::c_int = init_module;
            #[used]
            #[link_section = ".exit.data"]
            static __ADDRESSABLE_EXIT: extern "C" fn() = cleanup_module;
        }
    };
}

/// Puts `field=content` into `.modinfo`.
///
/// Public but hidden since it should only be used by `module!`.
#[doc(hidden)]
#[macro_export]
macro_rules! modinfo {
    ($field:literal, $content:literal) => {
        const _: () = {
            const TEXT: &[u8] = ::core::concat!($field, "=", $content, "\0").as_bytes();
            #[used]
            #[link_section = ".modinfo"]
            static MODINFO: [u8; TEXT.len()] = {
                let mut bytes = [0; TEXT.len()];
                let mut at = 0;
                while at < TEXT.len() {
                    bytes[at] = TEXT[at];
                    at += 1;
                }
                bytes
            };
        };
    };
}
