package rollout

import (
	"slices"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// refuseRole refuses who may not give the approval that the present step asks for, if it asks for one.
func refuseRole(s *State, c Command) *release.Error {
	return refuseApprover(s, s.present().Approval, c)
}

// refuseApprover refuses who has none of the roles that an approval asks for, and, where it asks for a second person,
// whoever started the release or changed its plan.
func refuseApprover(s *State, a *release.ApprovalStep, c Command) *release.Error {
	if a == nil {
		return nil
	}
	if len(a.By) > 0 && !slices.ContainsFunc(a.By, func(role string) bool { return role == c.Role || slices.Contains(c.Roles, role) }) {
		return release.Denied("", "%s has none of the roles that may approve", orWord(c.By, "the person")).Fix("ask one of %s", list(a.By))
	}
	if a.SecondPerson && slices.ContainsFunc(s.Authors, func(author string) bool { return samePerson(author, c.By) }) {
		return release.Denied("", "%s started this release or changed its plan, and the plan asks for a second person", c.By).
			Fix("ask somebody else%s", ofRoles(a.By))
	}
	return nil
}

func ofRoles(by []string) string {
	if len(by) == 0 {
		return ""
	}
	return " of " + list(by)
}

// samePerson compares names as people read them.
func samePerson(a, b string) bool {
	return strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
}

// author remembers whose release this is.
func (s *State) author(by string) {
	if by != "" && !slices.ContainsFunc(s.Authors, func(a string) bool { return samePerson(a, by) }) {
		s.Authors = append(slices.Clone(s.Authors), by)
	}
}

// refuseLoosening keeps a new plan from going around an approval that is still ahead. Who could give the approval may do
// as they like; everybody else must leave it where it is, and before it the same steps with no larger shares.
func refuseLoosening(s *State, plan release.Plan, c Command) *release.Error {
	old := s.Spec.Spec.Plan.Steps
	for i := s.Step; i < len(old); i++ {
		a := old[i].Approval
		if a == nil || len(a.By) == 0 && !a.SecondPerson {
			continue
		}
		if i < len(plan.Steps) && same(old[i], plan.Steps[i]) && noMore(old[s.Step:i], plan.Steps[s.Step:i]) {
			continue
		}
		if err := refuseApprover(s, a, c); err != nil {
			err.Msg = "the new plan goes around the approval in step " + count(uint64(i+1)) + ": " + err.Msg
			return err
		}
	}
	return nil
}

// noMore says whether steps are of the same kinds and serve no larger shares.
func noMore(old, now []release.Step) bool {
	for i := range old {
		if old[i].Kind() != now[i].Kind() || largest(now[i]) > largest(old[i]) {
			return false
		}
	}
	return true
}

func largest(step release.Step) (most release.Share) {
	for _, share := range stages(step) {
		most = max(most, share)
	}
	return most
}
