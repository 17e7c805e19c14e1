package access

// setIDs says why the set-id bits of a program that may be executed give the subject nothing (bprm_fill_uid() in
// fs/exec.c), "" when it has none or they count. The kernel says nothing about it: the program just runs as who it is.
func (e *explainer) setIDs() string {
	n := e.w.Reached()
	if e.op.Op != OpExec || n == nil || e.ns == nil || n.Mode&0o4000 == 0 && n.Mode&0o2010 != 0o2010 {
		return ""
	}
	j := &judge{s: e.s, host: e.w.Host, ns: e.ns}
	why := ""
	switch {
	case n.Exec != nil && n.Exec.Format == "script":
		why = "it is a script"
	case n.Mount.NoSUID:
		why = "the mount at " + quoted(n.Mount.Point) + " has the flag nosuid"
	case !j.maySUID(n):
		why = "its file system belongs to a user namespace that the target is not in"
	case e.s.Cred.NoNewPrivs:
		why = "the target has no_new_privs"
	case !j.uidMapped(n.UID.Seen) || !j.gidMapped(n.GID.Seen):
		why = "its owner and group are not both mapped in the target's user namespace"
	default:
		return ""
	}
	return ", as itself only, for its set-id bits are ignored: " + why
}
