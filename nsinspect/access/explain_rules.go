package access

import (
	"fmt"
	"strings"
)

// reason is why the kernel refuses: a sentence for every rule, "" for a rule without one.
func (e *explainer) reason() string {
	if name, ok := strings.CutPrefix(string(e.v.Rule), string(RuleCap)); ok {
		return "this needs " + capOr(name) + " over " + e.what() + ", which it does not have"
	}
	for _, rules := range []func() string{e.permRule, e.pathRule, e.mountRule, e.changeRule, e.specialRule} {
		if text := rules(); text != "" {
			return text
		}
	}
	return ""
}

func capOr(name string) string {
	if name == "" {
		return "a capability"
	}
	return name
}

func (e *explainer) permRule() string {
	switch e.v.Rule {
	case RuleModeOwner, RuleModeGroup, RuleModeOther, RuleACLUser, RuleACLGroup, RuleACLMask, RuleACLOther:
		return e.permReason()
	case RuleCapUnmappedInode:
		return e.uncounted()
	case RuleIdmapUnmapped:
		return e.unmappedOwner()
	case RuleFsidUnmapped:
		return e.newOwner()
	case RuleNotOwner:
		if e.op.Op == OpChown || e.op.Op == OpLchown {
			return e.chownRefused()
		}
		return e.ownership()
	case RuleInitCap:
		return e.initial()
	}
	return ""
}

// initial is what only capabilities of the initial user namespace allow.
func (e *explainer) initial() string {
	needed := "a capability"
	switch e.op.Op {
	case OpMknod:
		needed = "CAP_MKNOD"
	case OpSetxattr, OpGetxattr:
		needed = "CAP_SYS_ADMIN"
	}
	if e.ns != nil && e.ns.Initial {
		return "this needs " + needed + ", which it does not have"
	}
	return "this needs " + needed + " in the initial user namespace; what it holds counts in " + e.side() + " only"
}

// pathRule is about what the path leads to.
func (e *explainer) pathRule() string {
	what := e.what()
	switch e.v.Rule {
	case RuleWalkX:
		return what + " may not be searched"
	case RuleNotFound:
		return "there is no " + what
	case RuleNotDir:
		return what + " is no directory"
	case RuleIsDir:
		return what + " is a directory"
	case RuleExists:
		return what + " exists already"
	case RuleNotEmpty:
		return what + " is a directory that is not empty"
	case RuleBusy:
		return what + " is in use: something is mounted on it, or it is a root directory"
	case RuleInvalid:
		return "the kernel does not take this operation on " + what + " (" + string(e.v.Errno) + ")"
	case RuleNameTooLong:
		return "a name of the path is longer than 255 bytes, or the path longer than 4095"
	case RuleSymlinkLoop:
		return "the symbolic links at " + what + " go round in circles, are more than 40, or may not be followed here"
	case RuleNoSymfollow:
		return what + " is a symbolic link, and " + e.mountText() + " has the flag nosymfollow"
	case RuleProtectedSymlinks:
		return fmt.Sprintf("the symbolic link %s is %s in a sticky directory that everybody may write%s: only its owner may follow it, and who gets links of the directory's owner (fs.protected_symlinks is 1)", what, e.ownerOr(), e.inDir())
	case RuleProtectedRegular:
		return fmt.Sprintf("%s is %s in a sticky directory that others may write%s: it is not opened with O_CREAT by anybody else (fs.protected_regular)", what, e.ownerOr(), e.inDir())
	case RuleProtectedFifos:
		return fmt.Sprintf("the fifo %s is %s in a sticky directory that others may write%s: it is not opened with O_CREAT by anybody else (fs.protected_fifos)", what, e.ownerOr(), e.inDir())
	case RuleProtectedHardlinks:
		return what + " is " + e.ownerOr() + ": who does not own a file may link it only if it is a regular one without set-id bits that may be read and written (fs.protected_hardlinks is 1)"
	}
	return ""
}

func (e *explainer) ownerOr() string {
	if e.node == nil {
		return "somebody else's"
	}
	return e.owner()
}

// inDir names the directory that the component is in, with its owner.
func (e *explainer) inDir() string {
	if e.dir == nil {
		return ""
	}
	return ", " + quoted(e.dir.Path) + " of " + e.face("uid", e.dir)
}

// mount is the mount that decides: that of the component, else of the directory a new name would be in.
func (e *explainer) mount() *Mount {
	if e.node != nil {
		return e.node.Mount
	}
	if n := len(e.w.Steps); n > 0 {
		return e.w.Steps[n-1].Dir.Mount
	}
	if e.w.Start != nil {
		return e.w.Start.Mount
	}
	return nil
}

func (e *explainer) mountText() string {
	if m := e.mount(); m != nil {
		return "the mount at " + quoted(m.Point)
	}
	return "its mount"
}

func (e *explainer) superText() string {
	m := e.mount()
	switch {
	case m == nil:
		return "its file system"
	case m.Super == nil:
		return "the file system at " + quoted(m.Point)
	}
	return "the " + quoted(m.Super.FSType) + " file system at " + quoted(m.Point)
}

// mountRule is about flags of mounts and file systems.
func (e *explainer) mountRule() string {
	what := e.what()
	switch e.v.Rule {
	case RuleROMount:
		text := e.mountText() + " has the flag ro"
		if m := e.mount(); m != nil && m.Super != nil && !m.Super.ReadOnly {
			text += " (the mount only: the file system itself is writable)"
		}
		return text
	case RuleROSuper:
		if e.w.Fail == "EROFS" {
			return "an overlay on the way looks up a directory for the first time, and has to note in its upper layer where that comes from: the file system of the upper layer is read-only"
		}
		if e.node != nil && e.node.Overlay != nil && e.node.Overlay.UpperReadOnly == Yes && !e.node.Mount.Super.ReadOnly {
			return e.superText() + " keeps changes on another file system, that of its upper layer, which has become read-only"
		}
		return e.superText() + " itself is read-only (ro), not only this mount of it"
	case RuleNoExec:
		return e.mountText() + " has the flag noexec: nothing on it is executed"
	case RuleNoDev:
		return what + " is a device, and " + e.mountText() + " has the flag nodev"
	case RuleSBNoDev:
		return what + " is a device, and " + e.superText() + " was mounted in a user namespace: devices on such do not open, whatever the flags of the mount"
	case RuleXDev:
		if e.op.New == "" {
			return "this would cross from one mount to another (EXDEV)"
		}
		return quoted(e.v.Path) + " and " + quoted(e.op.New) + " are on different mounts, or a lower layer of an overlay has the directory: the kernel moves and links only within one (EXDEV), mv copies instead"
	case RuleOverlayMounter:
		return what + " is on an overlay, and who mounted that is refused by the layer" + e.layer()
	case RuleOverlayCopyUp:
		return what + " is in a lower layer of an overlay" + e.layer() + ", and cannot be copied up: its owner, or an id of its ACL, has no number where the overlay was mounted"
	case RuleFUSE:
		return e.superText() + " belongs to another user and was mounted without allow_other: nobody else may use it, root included"
	}
	return ""
}

// layer is the real file below an overlay's.
func (e *explainer) layer() string {
	if e.node == nil || e.node.Overlay == nil || e.node.Overlay.Real == nil {
		return ""
	}
	real := e.node.Overlay.Real
	path := real.Host
	if path == "" {
		path = real.Path
	}
	return " (" + quoted(path) + ")"
}

// changeRule is about attributes, owners and set-id bits.
func (e *explainer) changeRule() string {
	what := e.what()
	switch e.v.Rule {
	case RuleImmutable:
		return what + " has the attribute immutable (chattr +i): nobody may change it, root included"
	case RuleAppend:
		return what + " has the attribute append-only (chattr +a): nobody may do more than append to it, root included"
	case RuleSticky:
		if e.dir == nil || e.node == nil {
			return what + " is in a sticky directory: only its owner and the directory's may remove or rename it, write permission does not help"
		}
		return fmt.Sprintf("%s is %s and its directory %s of %s is sticky: only these two, or CAP_FOWNER over the file, may remove or rename it, write permission does not help",
			what, e.owner(), quoted(e.dir.Path), e.face("uid", e.dir))
	case RuleChownUnmappedCaller:
		return e.callerUnmapped()
	case RuleChownUnmappedFS:
		return e.mountText() + " has no number for the new owner or group, so that it cannot be stored"
	case RuleSUIDKill:
		if e.node == nil {
			return "it would clear the set-id bits of " + what + ", which needs ownership or CAP_FOWNER too"
		}
		return fmt.Sprintf("%s is %s and has the mode %04o: this would clear its set-id bits, which needs ownership or CAP_FOWNER over it besides", what, e.owner(), e.node.Mode)
	case RuleNoACL:
		return e.superText() + " has no ACLs"
	case RuleXattr:
		name := e.op.Name
		if name == "" {
			name = "system.posix_acl_access"
		}
		switch e.v.Errno {
		case "ENODATA":
			return what + " has no attribute " + quoted(name) + ", or none that it may see"
		case "EOPNOTSUPP":
			return e.superText() + " takes no attribute " + quoted(name)
		}
		return "the attribute " + quoted(name) + " cannot be on " + what + " (" + string(e.v.Errno) + ")"
	}
	return ""
}

// specialRule is about programs, sockets, and what decides besides the kernel's file permissions.
func (e *explainer) specialRule() string {
	what := e.what()
	switch e.v.Rule {
	case RuleFileCaps:
		return what + " has file capabilities that are to be effective, and the bounding set lacks some of them"
	case RuleFormat:
		if e.node != nil && e.node.Exec != nil {
			switch x := e.node.Exec; {
			case x.Machine != "":
				return what + " is an ELF program for another machine, " + quoted(x.Machine) + ": this kernel does not run those, and binfmt_misc names nothing that does"
			case x.Broken:
				return what + " begins as an ELF program does, but has not the headers of one that this kernel starts"
			}
		}
		return what + " is no program that the kernel can start: neither ELF nor a script that begins with #!"
	case RuleNoPeer:
		if e.op.Op == OpConnect {
			return "nothing listens on " + what
		}
		return what + " is a socket or a device that nothing answers (" + string(e.v.Errno) + ")"
	case RuleSysctl:
		return what + " is a setting of the kernel: it goes by its mode and by who is root, and no capability overrides that"
	case RuleFSLacks:
		return e.superText() + " has no such operation for " + what + ", root included (" + string(e.v.Errno) + ")"
	case RulePtrace:
		return what + " is the link of another process, which only who may trace that one may follow"
	case RuleLSM:
		return "a security module decides on " + what + " as well"
	case RuleFS:
		return e.superText() + " decides by itself on " + what
	}
	return ""
}
