-- Who applied sees what became of it, refused applications too.
CREATE INDEX vendor_of_owner ON catalog.vendor (owner_user_id, id DESC);
