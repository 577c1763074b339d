-- A part of the visitors can be read without the others: one in 1024 for each bucket, by a hash of who it is.
CREATE INDEX answer_sample ON reco.answer ((hashtext(subject) & 1023), ts) WHERE subject IS NOT NULL;
CREATE INDEX event_sample ON reco.event ((hashtext(coalesce(user_id, session_id)) & 1023), ts)
	WHERE request_id IS NOT NULL AND kind IN (2, 3) AND source = 1;
