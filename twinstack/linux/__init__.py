"""The kernel, and nothing of ours; constants have the kernel's names: NTF_SELF is `NTF.SELF`."""
