-- A training that is taken up again after its job was lost has another attempt; the lost one may write nothing any more.
ALTER TABLE reco.training ADD COLUMN attempt integer NOT NULL DEFAULT 0;
ALTER TABLE reco.training ADD COLUMN lost integer NOT NULL DEFAULT 0; -- times its job ended without a word

-- The file of a model that nobody goes back to is removed, its row stays.
ALTER TABLE reco.model ADD COLUMN pruned_at timestamptz;

-- What the last look at a canary saw: visitors who were shown something, and those of them who clicked.
CREATE TABLE reco.canary_look (
	model_id     text COLLATE "C" PRIMARY KEY,
	looked_at    timestamptz NOT NULL DEFAULT now(),
	shown        bigint NOT NULL,
	clicked      bigint NOT NULL,
	main_shown   bigint NOT NULL,
	main_clicked bigint NOT NULL
);
INSERT INTO reco.audit_exempt (table_name, reason) VALUES ('canary_look', 'counts of what was shown');
