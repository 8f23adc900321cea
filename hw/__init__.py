if __name__ == "hw":
    raise ImportError("import weft.hw, not hw")
