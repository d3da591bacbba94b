// Package credit holds what the parts of the credit example share: the fields of an applicant, the 1,200
// held-out applicants and the three models, embedded from the folder data (whose licence and origin stand
// beside the files).
//
// Around it: scoring reads and runs the models, server answers POST /credit with one of them,
// cmd/creditserver is that server as a program. See README.md for the story.
package credit
